"""Replays: a create that is sent again with the same `Idempotency-Key` gets the first answer.

A record holds keyed hashes and the id of what was created, never what was sent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from sessiond.domain.endings import ending
from sessiond.domain.errors import InvalidRequest, StateConflict
from sessiond.domain.ids import Partition, ProjectId
from sessiond.domain.instants import Instant, later
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing

REPLAYED_FOR = timedelta(hours=24)
"""How long a key is remembered."""

LONGEST_KEY = 255
"""Characters that an `Idempotency-Key` may have."""


class IdempotencyKeyReused(InvalidRequest):
    """The key came with another request before."""

    def __init__(self) -> None:
        super().__init__(
            "idempotency_key_reused",
            "This Idempotency-Key came with another request before; choose a new one.",
        )


REPLAY_SUPERSEDED = StateConflict(
    "replay_superseded",
    "The session that this Idempotency-Key created was refreshed or has ended; create another with a new key.",
)
"""The first answer cannot be given again: its tokens have been replaced, or are worth nothing any more."""


class Replay(Record, frozen=True, kw_only=True, gc=False):
    """One remembered create: *name* is the keyed hash of who used which key, *request* that of what was asked.

    *created* is the id of what it made and *about* the keyed hash, in hexadecimal digits, of the subject it was made
    for, by which it is found to be forgotten; None in a claim, which only ties the key to the request.
    """

    kind: ClassVar[Kind] = Kind.REPLAY
    project: ProjectId
    partition: Partition
    name: bytes
    request: bytes
    created: str | None
    about: str | None = None
    created_at: Instant

    @property
    def key(self) -> Key:
        return replay_key(self.project, self.partition, self.name)

    @property
    def owner(self) -> str | None:
        return self.about

    @property
    def sorted_at(self) -> Instant:
        return self.created_at

    @property
    def purge_at(self) -> Instant | None:
        return later(self.created_at, REPLAYED_FOR)

    def repeats(self, request: bytes) -> None:
        """Raise `IdempotencyKeyReused` unless *request* is the one that is remembered."""
        if request != self.request:
            raise IdempotencyKeyReused

    def remembered(self, now: Instant) -> bool:
        """Tell whether it still counts."""
        return now < later(self.created_at, REPLAYED_FOR)


def check_replayable(standing: Standing | None, now: Instant) -> Session:
    """Return the created session if its first tokens can be minted again, or raise `REPLAY_SUPERSEDED`."""
    if standing is None or standing.session.generation > 0 or ending(standing, now) is not None:
        raise REPLAY_SUPERSEDED
    return standing.session


def replay_key(project: ProjectId, partition: Partition, name: bytes) -> Key:
    """Return the key of a replay's record."""
    return Key(Kind.REPLAY, partition, project, name)


def check_idempotency_key(text: str) -> str:
    """Return *text* if it can be a key, or raise `InvalidRequest` (`invalid_idempotency_key`)."""
    if not (0 < len(text) <= LONGEST_KEY and text.isascii() and text.isprintable()):
        raise InvalidRequest(
            "invalid_idempotency_key",
            f"The Idempotency-Key must have 1 to {LONGEST_KEY} visible ASCII characters.",
        )
    return text
