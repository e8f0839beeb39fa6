"""The key ring: every key of a deployment, immutable, and what is derived from them.

It lies in the database as one box under the wrapping key, so that states and dates are under its MAC, and
neither the database nor the wrapping key alone opens anything. A change makes a new ring.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256

import msgspec

from sessiond.crypto import macs, ring_changes, ring_contents
from sessiond.crypto.es256 import PublicJwk, public_jwk
from sessiond.crypto.purposes import KEY_SIZE, Purpose, derive
from sessiond.crypto.ring_contents import Entropy, RingContents
from sessiond.crypto.sealing import SEAL_ENTROPY, Unsealable, seal, unseal
from sessiond.crypto.tokens import Mint, TokenKind
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.keys import Audience, DataKey, HeldKey, KeyKind, RootKey, SigningKey

_PARTITIONS_KEPT = 65_536
_KEYS_KEPT = 8_192
_KEY_SETS_KEPT = 1_024


class KeyRing:
    """The keys of a deployment. What is missing, destroyed or compromised is `Unavailable`, never replaced."""

    def __init__(self, contents: RingContents) -> None:
        self._contents = contents
        self._roots = {key.kid: key for key in contents.roots if key.verifies}
        self._roots_of = _by_project(self._roots.values())
        self._minting_roots = {key.project: key for key in contents.roots if key.mints}
        self._signing_keys = {key.kid: key for key in contents.signing_keys if key.verifies}
        self._signers = {(key.project, key.audience): key for key in contents.signing_keys if key.mints}
        self._data_keys = {key.id: key for key in contents.data_keys if key.verifies}
        self._sealers = {key.project: key for key in contents.data_keys if key.mints}
        # Bounded, and each ring has its own: a key that a new ring refuses is not answered from an old cache.
        self.partition: Callable[[ProjectId, SubjectId], Partition] = lru_cache(_PARTITIONS_KEPT)(
            self._partition
        )
        """Return the partition of (project, subject): keyed, so that it tests no guess; the same for ever."""
        self.mint: Callable[[int, TokenKind], Mint] = lru_cache(_KEYS_KEPT)(self._mint)
        """Return what mints the opaque tokens of a kind under the root of this `kid`, and knows them again."""
        self._kept_key = lru_cache(_KEYS_KEPT)(self._key)
        self._kept_jwks = lru_cache(_KEY_SETS_KEPT)(self._jwks)
        self._kept_lookup_key = lru_cache(_KEYS_KEPT)(self._lookup_key)

    def __repr__(self) -> str:
        return f"KeyRing({len(self._roots)} roots, {len(self._signing_keys)} signing keys, …)"

    # Birth, change and rest

    @classmethod
    def initial(cls, entropy: Entropy, now: Instant) -> KeyRing:
        """Return a new deployment's ring, with the keys of the default project."""
        contents = ring_contents.draw_contents(entropy)
        return cls(ring_contents.add_project(contents, DEFAULT_PROJECT, entropy, now))

    def with_project(self, project: ProjectId, entropy: Entropy, now: Instant) -> KeyRing:
        """Return the ring with the keys of *project*; itself if it has them."""
        if self.roots_of(project):
            return self
        return KeyRing(ring_contents.add_project(self._contents, project, entropy, now))

    def rotated(self, project: ProjectId, kind: KeyKind, entropy: Entropy, now: Instant) -> KeyRing:
        """Return the ring with the pending keys of *kind* active, or waiting to be as soon as they may."""
        return self._with(ring_changes.rotate(self._contents, project, kind, entropy, now))

    def activated(self, entropy: Entropy, now: Instant) -> KeyRing:
        """Return the ring with every key active whose time has come; itself where there is none."""
        return self._with(ring_changes.activate_due(self._contents, entropy, now))

    def compromised(self, name: str, entropy: Entropy, now: Instant) -> KeyRing:
        """Return the ring with the key *name* refused and its successor in its place; a vault key is retired.

        `StateConflict` when it is refused already.
        """
        return self._with(ring_changes.compromise(self._contents, name, entropy, now))

    def renewed(self, entropy: Entropy, now: Instant) -> KeyRing:
        """Return the ring with every key refused and others in their place; vault keys are retired."""
        return self._with(ring_changes.renew(self._contents, entropy, now))

    def without(self, names: Collection[str], now: Instant) -> KeyRing:
        """Return the ring with the keys *names* destroyed; itself where nothing changes."""
        return self._with(ring_changes.destroy(self._contents, names, now))

    def _with(self, contents: RingContents) -> KeyRing:
        return self if contents == self._contents else KeyRing(contents)

    def seal(self, wrapping_key: bytes, install_id: str, entropy: Entropy) -> bytes:
        """Return the ring as a box that only *wrapping_key* (32 bytes) of this installation opens."""
        _check_wrapping_key(wrapping_key)
        plain = msgspec.msgpack.encode(self._contents)
        return seal(wrapping_key, plain, aad=_aad(install_id), entropy=entropy.bytes(SEAL_ENTROPY))

    @classmethod
    def unseal(cls, box: bytes, wrapping_key: bytes, install_id: str) -> KeyRing:
        """Return the ring in *box*; `Misconfigured` when the key does not open it or it is of a newer sessiond."""
        _check_wrapping_key(wrapping_key)
        try:
            plain = unseal(wrapping_key, box, aad=_aad(install_id))
        except Unsealable:
            raise Misconfigured(
                f"the key with the fingerprint {fingerprint(wrapping_key)} does not open the key ring "
                f"of installation {install_id}; give the key this database was set up with"
            ) from None
        try:
            return cls(msgspec.msgpack.decode(plain, type=RingContents))
        except msgspec.ValidationError:
            raise Misconfigured("the key ring was written by a newer sessiond; run that version") from None

    # Keyed hashes: permanent, under keys that are never rotated

    def lookup(self, purpose: Purpose, project: ProjectId, text: str) -> bytes:
        """Return the 16-byte keyed hash by which *text* is found; *purpose* is one of `lookup.*`."""
        return macs.tag(self._kept_lookup_key(purpose, project), text.encode("utf-8", "surrogatepass"))

    def audit_mac(self, project: ProjectId) -> macs.Mac:
        """Return what makes the keyed hashes by which the audit of *project* is checked, for ever the same."""
        return macs.mac(self._kept_lookup_key(Purpose.AUDIT, project))

    # Roots and what is derived from them

    def root(self, kid: int) -> RootKey | None:
        """Return the root *kid* if it verifies, else None."""
        return self._roots.get(kid)

    def active_root(self, project: ProjectId) -> RootKey:
        """Return the root that new tokens of *project* are minted under."""
        root = self._minting_roots.get(project)
        if root is None:
            raise Unavailable("key_unavailable", "The project has no active key.")
        return root

    def roots_of(self, project: ProjectId) -> Sequence[RootKey]:
        """Return the roots of *project* that verify: the active one, then the others, newest first."""
        return self._roots_of.get(project, ())

    def key(self, kid: int, purpose: Purpose, suffix: str = "") -> bytes:
        """Return the derived key of *purpose*, and of *suffix* if more than the purpose decides, under a root."""
        return self._kept_key(kid, purpose, suffix)

    # Keys that sign and keys that seal

    def held(self) -> Sequence[HeldKey]:
        """Return every key in every state: roots, signing keys, data keys, each in the order of their birth."""
        return self._contents.keys

    @cached_property
    def next_activation(self) -> Instant | None:
        """The instant at which the next key takes over, or None when no rotation waits."""
        return min((key.activates_at for key in self.held() if key.activates_at is not None), default=None)

    def signing_key(self, project: ProjectId, audience: Audience) -> SigningKey:
        """Return the key that signs new JWTs of *project* for *audience*."""
        key = self._signers.get((project, audience))
        if key is None:
            raise Unavailable("key_unavailable", "The project has no active signing key.")
        return key

    def signing_key_by_kid(self, kid: str) -> SigningKey | None:
        """Return the signing key *kid* if it verifies, else None."""
        return self._signing_keys.get(kid)

    def jwks(self, project: ProjectId | None, audiences: Collection[Audience]) -> Sequence[PublicJwk]:
        """Return the public keys of *project* (None: of all) for *audiences*: pending, active and retired, as JWKs."""
        return self._kept_jwks(project, frozenset(audiences))

    def _jwks(self, project: ProjectId | None, audiences: frozenset[Audience]) -> Sequence[PublicJwk]:
        return [
            public_jwk(key)
            for key in self._contents.signing_keys
            if key.verifies and project in {None, key.project} and key.audience in audiences
        ]

    def data_key(self, project: ProjectId) -> tuple[str, bytes]:
        """Return the id and the 32 bytes of the key that seals new vault entries of *project*."""
        key = self._sealers.get(project)
        if key is None:
            raise Unavailable("key_unavailable", "The project has no active vault key.")
        return key.id, self._unwrapped(key)

    def data_key_by_id(self, identifier: str) -> bytes:
        """Return the 32 bytes of the vault key *identifier*."""
        key = self._data_keys.get(identifier)
        if key is None:
            raise Unavailable("key_unavailable", "The key of this vault entry is not in the key ring.")
        return self._unwrapped(key)

    def _partition(self, project: ProjectId, subject: SubjectId) -> Partition:
        name = f"{project}|{subject}".encode("utf-8", "surrogatepass")
        return Partition(int.from_bytes(macs.tag(self._contents.salt, name)[:2]) >> 4)

    def _lookup_key(self, purpose: Purpose, project: ProjectId) -> bytes:
        if purpose is not Purpose.AUDIT and not purpose.startswith("lookup."):
            raise ValueError(f"{purpose} is no purpose of a lookup")
        return derive(self._contents.lookup_root, purpose, project)

    def _key(self, kid: int, purpose: Purpose, suffix: str) -> bytes:
        root = self._roots.get(kid)
        if root is None:
            raise Unavailable("key_unavailable", "A key that is needed is not in the key ring.")
        return derive(root.secret, purpose, root.project, suffix)

    def _mint(self, kid: int, kind: TokenKind) -> Mint:
        return Mint(kind, kid, self._key(kid, kind.purpose, ""))

    def _unwrapped(self, key: DataKey) -> bytes:
        kek = self.key(key.kid, Purpose.VAULT_KEK)
        try:
            return unseal(kek, key.secret, aad=ring_contents.wrapping_aad(key.project, key.id))
        except Unsealable:
            raise Unavailable("key_unavailable", "The vault's key cannot be opened.") from None


def _by_project(roots: Iterable[RootKey]) -> Mapping[ProjectId, Sequence[RootKey]]:
    newest_first = sorted(roots, key=lambda root: (not root.mints, -(root.activated_at or root.created_at)))
    found: dict[ProjectId, list[RootKey]] = {}
    for root in newest_first:
        found.setdefault(root.project, []).append(root)
    return {project: tuple(its) for project, its in found.items()}


def fingerprint(wrapping_key: bytes) -> str:
    """Return 12 hexadecimal digits that name a wrapping key and tell nothing about it."""
    return sha256(b"sessiond|v1|fingerprint|" + wrapping_key).hexdigest()[:12]


def _aad(install_id: str) -> bytes:
    return f"sessiond|v1|ring|{install_id}".encode()


def _check_wrapping_key(wrapping_key: bytes) -> None:
    if len(wrapping_key) != KEY_SIZE:
        raise Misconfigured("the wrapping key must be 32 bytes")
