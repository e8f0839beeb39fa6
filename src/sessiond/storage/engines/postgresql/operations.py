"""What one batch asks of the database, operation by operation: values for the arrays of one call.

All values are prepared when an operation is accepted, where one that cannot be stored is its caller's error alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sessiond.domain.errors import Conflict
from sessiond.domain.ids import Partition, ProjectId, SessionId
from sessiond.domain.records import Key
from sessiond.domain.sessions import Session, session_key
from sessiond.services.ports import Change, Revocation, Touch
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.postgresql.rows import (
    Row,
    key_row,
    project_bytes,
    record_row,
    session_from,
    session_row,
    told_row,
)

Values = Sequence[Any]


class Operation(Protocol):
    """Something for a batch. *keys* keep operations apart that must not be in one, *writes* are what it writes."""

    @property
    def keys(self) -> Sequence[Key]:
        """The records that bar others from its batch."""
        ...

    @property
    def writes(self) -> Sequence[Key]:
        """The records that it writes or removes."""
        ...


class Apply:
    """A change and the keys that it *writes*. Those that it only expects must not change in the same batch, either."""

    def __init__(self, change: Change, writes: Sequence[Key]) -> None:
        self.keys: Sequence[Key] = sorted(change.expects)
        self.writes = writes
        self.change = change


class Revoke:
    """Revocations, which are of different sessions."""

    def __init__(self, revocations: Sequence[Revocation]) -> None:
        first: dict[Key, Revocation] = {}
        for each in revocations:
            first.setdefault(session_key(each.project, each.session), each)
        self.keys = self.writes = sorted(first)
        self.first = first
        self.asked = [session_key(each.project, each.session) for each in revocations]


class TouchAll:
    """Touches, one for a session: of several, each maximum counts."""

    def __init__(self, touches: Sequence[Touch]) -> None:
        highest: dict[Key, tuple[int, int]] = {}
        for each in touches:
            key = session_key(each.project, each.session)
            seen_at, generation = highest.get(key, (each.seen_at, each.generation))
            highest[key] = max(seen_at, each.seen_at), max(generation, each.generation)
        self.keys = self.writes = sorted(highest)
        self.highest = highest


def changes(operations: Sequence[Apply]) -> Values:
    """Return the arguments of `apply_changes`."""
    partitions: set[Partition] = set()
    expectations: list[Row] = []
    sessions: list[Row] = []
    records: list[Row] = []
    removals: list[Row] = []
    told: list[Row] = []
    for op, operation in enumerate(operations):
        change = operation.change
        for key, version in change.expects.items():
            partitions.add(key.partition)
            expectations.append((*key_row(op, key), version))
        for record in change.puts:
            if isinstance(record, Session):
                sessions.append(session_row(op, record))
            else:
                records.append(record_row(op, record))
        removals += [key_row(op, key) for key in change.deletes]
        for event in change.events:
            partitions.add(event.partition)
            told.append(told_row(op, event))
    return sorted(partitions), expectations, sessions, records, removals, told


def outcomes_of_changes(operations: Sequence[Apply], rows: Sequence[Row]) -> Sequence[Outcome]:
    """Return an outcome for each, from the numbers of those that were refused."""
    refused = set(rows[0][0])
    return [
        Conflict("a record is not at the version that was expected") if op in refused else None
        for op in range(len(operations))
    ]


def revocations(operations: Sequence[Revoke]) -> Values:
    """Return the arguments of `revoke_sessions`. Each revocation has a number of its own, which its event bears."""
    rows: list[Row] = []
    told: list[Row] = []
    number = itertools.count()
    for key, each in _together(operation.first.items() for operation in operations):
        op = next(number)
        rows.append((op, key.partition, project_bytes(key.project), key.id, each.at, each.reason))
        told.append(told_row(op, each.event))
    partitions = {row[1] for row in rows} | {row[2] for row in told}
    return sorted(partitions), rows, told


def outcomes_of_revocations(operations: Sequence[Revoke], rows: Sequence[Row]) -> Sequence[Outcome]:
    """Return for each its sessions as they are now, in the order in which they were asked for."""
    found = {session.key: session for session in map(session_from, rows)}
    return [[found.get(key) for key in operation.asked] for operation in operations]


def touches(operations: Sequence[TouchAll]) -> Values:
    """Return the arguments of `touch_sessions`."""
    rows: list[Row] = [
        (key.partition, project_bytes(key.project), key.id, seen_at, generation)
        for key, (seen_at, generation) in _together(operation.highest.items() for operation in operations)
    ]
    return sorted({row[0] for row in rows}), rows


def _together(several: Iterable[Iterable[Any]]) -> Iterable[Any]:
    return itertools.chain.from_iterable(several)


class Seek:
    """A question for one session with all that its life depends on; it writes nothing."""

    keys: Sequence[Key] = ()
    writes: Sequence[Key] = ()

    def __init__(self, project: ProjectId, session: SessionId) -> None:
        self.project = project
        self.session = session


class Fetch:
    """A question for records, of one instant; it writes nothing."""

    keys: Sequence[Key] = ()
    writes: Sequence[Key] = ()

    def __init__(self, wanted: Sequence[Key]) -> None:
        self.wanted = wanted
