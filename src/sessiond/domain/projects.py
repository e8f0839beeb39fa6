"""Projects and the deployment: the control records that every read is checked against."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from sessiond.domain.claim_templates import Claim
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, parse_id
from sessiond.domain.instants import Instant
from sessiond.domain.moving import Arriving, Departed
from sessiond.domain.policies import Policy
from sessiond.domain.records import Key, Kind, Record

CONTROL_PARTITION = Partition(0)
"""Where control records lie; they are few and read with every batch."""

Epoch = int
"""A random signed 64-bit value, compared for equality only."""

EPOCH_ENTROPY = 8
"""How many bytes of entropy one epoch takes."""


def draw_epoch(entropy: bytes) -> Epoch:
    """Return an epoch of 8 bytes of *entropy*: drawn, never counted, since a counter that is restored comes back."""
    return int.from_bytes(entropy, signed=True)


class LastEnding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How all sessions of an *epoch* were ended by the one after it, so that they can still say why."""

    epoch: Epoch
    at: Instant
    reason: str
    by: str


LONGEST_NAME = 64


def check_name(name: str) -> str:
    """Return *name*, or raise `InvalidRequest` (`invalid_name`): it goes into headers, and must not look like an id."""
    visible = name.isascii() and name.isprintable() and name == name.strip()
    if not name or len(name) > LONGEST_NAME or not visible or parse_id(name) is not None:
        raise InvalidRequest(
            "invalid_name", f"A name is 1 to {LONGEST_NAME} visible ASCII characters, and no UUID."
        )
    return name


_DEPLOYMENT_KEY = Key(Kind.DEPLOYMENT, CONTROL_PARTITION, DEFAULT_PROJECT, b"")


def deployment_key() -> Key:
    """Return the key of the one deployment record."""
    return _DEPLOYMENT_KEY


@functools.lru_cache(maxsize=4096)
def project_key(project: ProjectId) -> Key:
    """Return the key of a project's control record."""
    return Key(Kind.PROJECT, CONTROL_PARTITION, project, b"")


class Deployment(Record, frozen=True, kw_only=True, gc=False):
    """One installation: its epoch, its sealed key ring and its master token's generation.

    *ring* is sealed under the wrapping key with *install_id* as associated data. *wrapped_key* is that key as a key
    service wrapped it, None where it lies on the servers. *master_digest* is a keyed hash.
    *arriving* and *departed* are the marks of a database that is being filled, and of one that was left.
    """

    kind: ClassVar[Kind] = Kind.DEPLOYMENT
    install_id: str
    epoch: Epoch
    ring: bytes
    ring_version: int
    master_digest: bytes
    master_generation: int
    created_at: Instant
    wrapped_key: bytes | None = None
    arriving: Arriving | None = None
    departed: Departed | None = None

    @property
    def key(self) -> Key:
        return deployment_key()


class Project(Record, frozen=True, kw_only=True, gc=False):
    """A tenant's control record. *policy* None means the deployment's configured one, *claims* go into its JWTs.

    *last_ending* tells of the epoch before this one, if there was one. *operators_epoch* is that of the operator's
    sessions where it is another: they were spared when the others ended.
    """

    kind: ClassVar[Kind] = Kind.PROJECT
    id: ProjectId
    name: str
    epoch: Epoch
    created_at: Instant
    policy: Policy | None = None
    claims: Mapping[str, Claim] = {}
    publishable_key_digest: bytes | None = None
    last_ending: LastEnding | None = None
    operators_epoch: Epoch | None = None

    @property
    def key(self) -> Key:
        return project_key(self.id)

    @property
    def sorted_at(self) -> Instant:
        return self.created_at

    def with_epoch(
        self, epoch: Epoch, *, now: Instant, reason: str, by: str, spares_operator: bool = False
    ) -> Project:
        """Return the project with all its sessions ended, or all but the operator's."""
        told = LastEnding(epoch=self.epoch, at=now, reason=reason, by=by)
        operators = self.epoch if self.operators_epoch is None else self.operators_epoch
        return msgspec.structs.replace(
            self,
            epoch=epoch,
            last_ending=told,
            operators_epoch=operators if spares_operator else None,
            version=self.version + 1,
        )


class ServerKey(Record, frozen=True, kw_only=True, gc=False):
    """An application's credential for one project; only its keyed hash is kept, and it is the record's id.

    *seeded* marks the one that `SESSIOND_SERVER_KEY` gave: another value retires it.
    """

    kind: ClassVar[Kind] = Kind.SERVER_KEY
    digest: bytes
    project: ProjectId
    id: str
    name: str
    created_at: Instant
    seeded: bool = False
    revoked_at: Instant | None = None

    @property
    def key(self) -> Key:
        return server_key_key(self.digest)

    @property
    def owner(self) -> str | None:
        return self.project

    @property
    def sorted_at(self) -> Instant:
        return self.created_at


def server_key_key(digest: bytes) -> Key:
    """Return the key of the server key with this keyed hash: found before its project is known."""
    return Key(Kind.SERVER_KEY, CONTROL_PARTITION, DEFAULT_PROJECT, digest)


class Tally(Record, frozen=True, kw_only=True, gc=False):
    """A bounded count of things per name, for limits: names (keyed hashes or ids) and when each stops counting."""

    kind: ClassVar[Kind] = Kind.TALLY
    project: ProjectId
    partition: Partition
    name: bytes
    members: Mapping[str, Instant] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> Key:
        return Key(Kind.TALLY, self.partition, self.project, self.name)

    @property
    def purge_at(self) -> Instant | None:
        return max(self.members.values(), default=0)
