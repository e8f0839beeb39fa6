"""The key ring as the services use it: held in memory, renewed when the deployment's control record moves on."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from sessiond.crypto.es256 import PublicJwk
from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing, fingerprint
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.keys import Audience, SigningKey
from sessiond.domain.moving import refuse_departed
from sessiond.domain.projects import Deployment, deployment_key
from sessiond.services.ports import Clock, Entropy, Store

_RELOAD_EVERY_MS = 1000


class Wrapping(msgspec.Struct, frozen=True, kw_only=True):
    """A wrapping key to seal the ring under; *wrapped* is what a key service made of it, None where none did."""

    key: bytes
    wrapped: bytes | None = None

    def __repr__(self) -> str:
        return "Wrapping(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Keys:
    """Holds the unsealed ring of one deployment.

    The wrapping key stays here and is used for nothing but opening and sealing the ring. *others* gives the wrapping
    keys that are at hand for a record besides: one of them opens the ring when it was sealed anew.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        wrapping_key: bytes,
        deployment: Deployment,
        others: Callable[[Deployment], Sequence[bytes]] = lambda _: (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._wrapping_key = wrapping_key
        self._others = others
        self._reloaded_at: Instant = 0
        self.deployment = deployment
        self.ring = KeyRing.unseal(deployment.ring, wrapping_key, deployment.install_id)

    def __repr__(self) -> str:
        return f"Keys(ring_version={self.deployment.ring_version})"

    async def reload(self, *, at_once: bool = False) -> bool:
        """Read the deployment again, at most once a second unless *at_once*; tell whether anything is newer."""
        now = self._clock.now()
        if not at_once and now - self._reloaded_at < _RELOAD_EVERY_MS:
            return False
        self._reloaded_at = now
        record = await self._store.get(deployment_key())
        if not isinstance(record, Deployment):
            raise Unavailable("deployment_missing", "The deployment's control record is gone.")
        newer = self.adopt(record)
        refuse_departed(record.departed)
        return newer

    def adopt(self, deployment: Deployment, wrapping_key: bytes | None = None) -> bool:
        """Take over a deployment record that was just read or written; tell whether it was newer.

        *wrapping_key* is the new one, where it was just sealed under another. Raises `Unavailable`
        (`key_unavailable`) for a ring that no wrapping key at hand opens.
        """
        if deployment.version <= self.deployment.version:
            return False
        if deployment.ring_version != self.deployment.ring_version:
            self.ring = self._opened(deployment, wrapping_key)
        self.deployment = deployment
        return True

    def _opened(self, deployment: Deployment, wrapping_key: bytes | None) -> KeyRing:
        for key in self._candidates(deployment, wrapping_key):
            try:
                ring = KeyRing.unseal(deployment.ring, key, deployment.install_id)
            except Misconfigured:
                continue
            self._wrapping_key = key
            return ring
        raise Unavailable(
            "key_unavailable",
            "The key ring was sealed under a wrapping key that this server does not have: give it, and restart.",
        )

    def _candidates(self, deployment: Deployment, wrapping_key: bytes | None) -> Iterator[bytes]:
        yield self._wrapping_key if wrapping_key is None else wrapping_key
        yield from self._others(deployment)

    async def learn(self, project: ProjectId) -> None:
        """Read the ring again if it has no keys of *project* yet: another process may just have added it."""
        if not self.ring.roots_of(project):
            await self.reload(at_once=True)

    def is_master(self, digest: bytes) -> bool:
        """Tell, in constant time, whether *digest* is the keyed hash of the master token."""
        return hmac.compare_digest(digest, self.deployment.master_digest)

    @property
    def fingerprint(self) -> str:
        """What names the wrapping key and tells nothing about it."""
        return fingerprint(self._wrapping_key)

    def seal(self, ring: KeyRing, entropy: Entropy, wrapping_key: bytes | None = None) -> bytes:
        """Return *ring* sealed for this deployment, under the present wrapping key unless another is given."""
        return ring.seal(wrapping_key or self._wrapping_key, self.deployment.install_id, entropy)

    def partition(self, project: ProjectId, subject: SubjectId) -> Partition:
        """Return the partition of (project, subject)."""
        return self.ring.partition(project, subject)

    def lookup(self, purpose: Purpose, text: str, project: ProjectId = DEFAULT_PROJECT) -> bytes:
        """Return the keyed hash under which *text* is stored and found."""
        return self.ring.lookup(purpose, project, text)

    def signing_key(self, project: ProjectId, audience: Audience) -> SigningKey:
        """Return the signing key that mints for *audience* now."""
        return self.ring.signing_key(project, audience)

    def jwks(self, project: ProjectId | None, audiences: Sequence[Audience]) -> Sequence[PublicJwk]:
        """Return the public keys of *audiences* in JWK form (RFC 7517 section 4); of every project for None."""
        return self.ring.jwks(project, audiences)
