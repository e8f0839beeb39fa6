"""What one batch asks of the database, operation by operation: values for the arrays of one call.

All values are prepared when an operation is accepted, where one that cannot be stored is its caller's error alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sessiond.domain.errors import Conflict
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
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
        self.keys: Sequence[Key] = list(change.expects)
        self.writes = writes
        self.change = change


class Revoke:
    """Revocations, which are of different sessions."""

    def __init__(self, revocations: Sequence[Revocation]) -> None:
        first: dict[Key, Revocation] = {}
        for each in revocations:
            first.setdefault(session_key(each.project, each.session), each)
        self.keys = self.writes = list(first)
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
        self.keys = self.writes = list(highest)
        self.highest = highest


def changes(operations: Sequence[Apply]) -> Values:
    """Return the arguments of `write_changes`."""
    partitions: set[Partition] = set()
    expectations: list[Row] = []
    puts = _Puts()
    removals: list[Row] = []
    told: list[Row] = []
    for op, operation in enumerate(operations):
        change = operation.change
        checked = puts.add(op, operation)
        for key, version in change.expects.items():
            partitions.add(key.partition)
            if key not in checked:
                expectations.append((*key_row(op, key), version))
        removals += [key_row(op, key) for key in change.deletes]
        for event in change.events:
            partitions.add(event.partition)
            told.append(told_row(op, event))
    return (
        sorted(partitions),
        expectations,
        puts.renewed,
        puts.born,
        puts.sessions,
        puts.records,
        removals,
        told,
    )


class _Puts:
    """The rows that the operations of a batch put, by how they are written."""

    def __init__(self) -> None:
        self.renewed: list[Row] = []
        self.born: list[Row] = []
        self.sessions: list[Row] = []
        self.records: list[Row] = []

    def add(self, op: int, operation: Apply) -> Sequence[Key]:
        """Add the rows of an operation, and return the keys of which the write itself is the check of the version."""
        checked: list[Key] = []
        renews = False
        for record, key in zip(
            operation.change.puts, operation.writes, strict=False
        ):  # then come the deletes
            if not isinstance(record, Session):
                self.records.append(record_row(op, record))
                continue
            row, expected = session_row(op, record), operation.change.expects[key]
            if expected == 0:
                self.born.append(row)
                checked.append(key)
            elif expected == record.version - 1 and not renews:
                self.renewed.append(row)
                checked.append(key)
                renews = True
            else:
                self.sessions.append(row)
        return checked


def outcomes_of_changes(operations: Sequence[Apply], rows: Sequence[Row]) -> Sequence[Outcome]:
    """Return an outcome for each, from the numbers of those that were refused."""
    outcomes: list[Outcome] = [None] * len(operations)
    for op in rows[0][0]:
        outcomes[op] = conflict()
    return outcomes


def conflict() -> Conflict:
    """Return what an operation comes to of which an expectation does not hold."""
    return Conflict("a record is not at the version that was expected")


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


class Leaf:
    """A question for a page of a subject's sessions; it writes nothing."""

    keys: Sequence[Key] = ()
    writes: Sequence[Key] = ()

    def __init__(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None,
        before: SessionId | None,
        limit: int,
    ) -> None:
        self.values = project_bytes(project), subject, live_at, before, limit


class Fetch:
    """A question for records, of one instant; it writes nothing."""

    keys: Sequence[Key] = ()
    writes: Sequence[Key] = ()

    def __init__(self, wanted: Sequence[Key]) -> None:
        self.wanted = wanted
