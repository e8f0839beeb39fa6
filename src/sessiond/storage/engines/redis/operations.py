"""What is written: each operation names its records, and turns itself into the arguments of `scripts/write.lua`.

All values are prepared when it is made, where a value that cannot be stored is its caller's error alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from sessiond.domain.errors import Conflict
from sessiond.domain.ids import Partition, SessionId, partition_of
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, session_key
from sessiond.services.ports import Change, Revocation, Touch
from sessiond.storage.engines.redis.commands import bulk, whole
from sessiond.storage.engines.redis.layout import (
    Layout,
    event_value,
    field,
    record_value,
    session_from,
    session_value,
)
from sessiond.storage.engines.redis.link import Answer

_APPLY, _REVOKE, _TOUCH = bulk(b"a"), bulk(b"v"), bulk(b"t")
_NOTHING = bulk(b"")

RETENTION_MS = 400 * 86_400_000
"""How long after its absolute limit a session leaves by itself, where no purge has taken it; purges come sooner."""


class SessionKeys:
    """The session keys that a script declares, each once, and their numbers in it."""

    def __init__(self, layout: Layout, first: int) -> None:
        self._layout = layout
        self._first = first
        self._numbers: dict[bytes, int] = {}

    @property
    def keys(self) -> list[bytes]:
        """The keys, in the order of their numbers."""
        return list(self._numbers)

    def number(self, key: Key) -> int:
        """Return the number of the key in which the record at *key* lies: 0 for one in the hash of records."""
        if key.kind is not Kind.SESSION:
            return 0
        name = self._layout.session(key.partition, key.project, SessionId(key.id))
        return self._numbers.setdefault(name, self._first + len(self._numbers))


class Operation(Protocol):
    """One intent in one partition."""

    @property
    def keys(self) -> Sequence[Key]:
        """The records that this writes."""
        ...

    @property
    def partition(self) -> Partition:
        """Where it writes."""
        ...

    @property
    def changes(self) -> Sequence[Key]:
        """The records of these that were there before, so that somebody may remember them."""
        ...

    @property
    def adds(self) -> Sequence[Key]:
        """The records that may be new, so that the directory must know of them."""
        ...

    def arguments(self, numbers: SessionKeys) -> Sequence[bytes]:
        """Return its arguments to the script, packed."""
        ...

    def outcome(self, answer: Answer) -> object:
        """Return what the script's answer means: a value, or an exception for the caller."""
        ...


class Apply:
    """A change, and the keys that it writes: of its puts, then of its deletes."""

    def __init__(self, change: Change, keys: Sequence[Key]) -> None:
        self.partition = change.partition
        self.keys = keys
        self.adds = keys[: len(change.puts)]
        self.changes = [key for key in keys if change.expects[key] > 0]
        self._expects: list[tuple[Key, bytes, bytes]] = []
        places: dict[Key, bytes] = {}
        for n, (key, version) in enumerate(change.expects.items(), 1):
            if key.partition != self.partition or (
                key.kind is Kind.SESSION and partition_of(key.id) != key.partition
            ):
                raise ValueError(f"a {key.kind} is expected in another partition than the change's")
            self._expects.append((key, bulk(field(key)), whole(version)))
            places[key] = whole(n)
        rest: list[bytes] = [whole(len(change.puts))]
        for key, record in zip(self.adds, change.puts, strict=True):
            rest += (places[key], *_put(record))
        rest.append(whole(len(change.deletes)))
        rest += [places[key] for key in change.deletes]
        rest.append(whole(len(change.events)))
        rest += [bulk(event_value(event)) for event in change.events]
        self._rest = rest

    def arguments(self, numbers: SessionKeys) -> Sequence[bytes]:
        """Return its arguments to the script, packed."""
        flat = [_APPLY, whole(len(self._expects))]
        for key, name, version in self._expects:
            flat += (whole(numbers.number(key)), name, version)
        flat += self._rest
        return flat

    def outcome(self, answer: Answer) -> object:
        """Return nothing, or the conflict."""
        return None if answer == 0 else Conflict(f"{cast('bytes', answer).decode()} is not as expected")


def _put(record: Record) -> tuple[bytes, bytes, bytes]:
    """Return the value of a record, when a purge may take it, and after how long it may leave by itself."""
    if isinstance(record, Session):
        ends = record.expires_at if record.revoked_at is None else min(record.expires_at, record.revoked_at)
        return bulk(session_value(record)), whole(ends), whole(_ttl(record))
    purge = record.purge_at
    return bulk(record_value(record)), _NOTHING if purge is None else whole(purge), _NOTHING


def _ttl(session: Session) -> int:
    """Return after how long, counted from now, a session may leave by itself.

    What the session has seen is in the past by every clock, so that this is never too short.
    """
    known: Instant = max(
        session.created_at, session.authenticated_at, session.last_seen_at, session.rotated_at
    )
    return max(0, session.expires_at - known) + RETENTION_MS


class Revoke:
    """The revocation of one session; the answer is the session afterwards."""

    def __init__(self, revocation: Revocation) -> None:
        self._key = session_key(revocation.project, revocation.session)
        self.partition = self._key.partition
        self.keys = self.changes = [self._key]
        self.adds: Sequence[Key] = ()
        self._arguments = (
            bulk(field(self._key)),
            whole(revocation.at),
            bulk(revocation.reason.encode()),
            bulk(event_value(revocation.event)),
        )

    def arguments(self, numbers: SessionKeys) -> Sequence[bytes]:
        """Return its arguments to the script, packed."""
        return (_REVOKE, whole(numbers.number(self._key)), *self._arguments)

    def outcome(self, answer: Answer) -> object:
        """Return the session, None where absent."""
        return session_from(cast("list[bytes]", answer)[1]) if isinstance(answer, list) else None


class TouchOne:
    """One touch."""

    def __init__(self, touch: Touch) -> None:
        self._key = session_key(touch.project, touch.session)
        self.partition = self._key.partition
        self.keys = self.changes = [self._key]
        self.adds: Sequence[Key] = ()
        self._arguments = (whole(touch.seen_at), whole(touch.generation))

    def arguments(self, numbers: SessionKeys) -> Sequence[bytes]:
        """Return its arguments to the script, packed."""
        return (_TOUCH, whole(numbers.number(self._key)), *self._arguments)

    def outcome(self, answer: Answer) -> object:  # noqa: ARG002  there is only one
        """Return nothing."""
        return None
