"""Moving: walking through the tables in the order of their keys, events under given sequences, and the fence."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import PARTITIONS
from sessiond.domain.records import Key
from sessiond.services.movable import BEGINNING, Number, Stretch
from sessiond.storage.engines.sqlite import migrations
from sessiond.storage.engines.sqlite.rows import (
    EVENT_COLUMNS,
    SESSION_COLUMNS,
    Row,
    event_from,
    event_row,
    record_from,
    session_from,
)
from sessiond.storage.positions import Positions

_FOLLOWED_AT_ONCE = 500
_EVENT = ", ".join(EVENT_COLUMNS)
_SESSIONS = f"SELECT {', '.join(SESSION_COLUMNS)} FROM sessions WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
_RECORDS = """
SELECT kind, project, id, partition, body FROM records
WHERE (kind, project, id, partition) > (?, ?, ?, ?) ORDER BY kind, project, id, partition LIMIT ?
"""
_EVENTS = f"""
SELECT {_EVENT}, sequence FROM events WHERE (sequence, partition) > (?, ?) ORDER BY sequence, partition LIMIT ?
"""  # noqa: S608
_FIND = f"SELECT {_EVENT} FROM events WHERE partition = ? AND sequence = ?"  # noqa: S608
_ADOPT = f"INSERT OR REPLACE INTO events ({_EVENT}, sequence) VALUES ({'?, ' * len(EVENT_COLUMNS)}?)"  # noqa: S608
_DROP = "DELETE FROM events WHERE partition = ? AND sequence = ?"
_REMEMBER = "UPDATE purged_events SET newest = max(newest, ?, ifnull((SELECT max(sequence) FROM events), 0))"


class _Sessions(msgspec.Struct, frozen=True, tag="s"):
    """Behind the session of this id."""

    id: bytes = b""


class _Records(msgspec.Struct, frozen=True, tag="r"):
    """Behind the record of this key."""

    kind: str = ""
    project: bytes = b""
    id: bytes = b""
    partition: int = -1


class _Events(msgspec.Struct, frozen=True, tag="e"):
    """Behind the event at this sequence of this partition."""

    sequence: int = -1
    partition: int = -1


_Place = _Sessions | _Records | _Events
_decode: msgspec.json.Decoder[_Place] = msgspec.json.Decoder(_Place)


def walk(database: sqlite3.Connection, place: str, limit: int) -> Stretch:
    """Return what lies behind *place*: sessions first, then other records, then events."""
    match _Sessions() if place == BEGINNING else _decode.decode(place):
        case _Sessions(last):
            rows = database.execute(_SESSIONS, (last, limit)).fetchall()
            following = _Sessions(rows[-1][0]) if len(rows) == limit else _Records()
            return Stretch(records=[session_from(row) for row in rows], place=_text(following))
        case _Records() as behind:
            rows = database.execute(_RECORDS, (*msgspec.structs.astuple(behind), limit)).fetchall()
            further = _Records(*rows[-1][:4]) if len(rows) == limit else _Events()
            return Stretch(records=[record_from(row[0], row[4]) for row in rows], place=_text(further))
        case _Events() as after:
            rows = database.execute(_EVENTS, (after.sequence, after.partition, limit)).fetchall()
            told = [_told(row) for row in rows]
            if len(rows) < limit:
                return Stretch(events=told, place=None)
            return Stretch(events=told, place=_text(_Events(told[-1][0], told[-1][1].partition)))


def follow(database: sqlite3.Connection, mark: bytes, limit: int) -> tuple[list[tuple[int, Event]], bytes]:
    """Return what was not told at *mark*, and the mark after it.

    There is one writer at a time: what a read does not see yet gets a higher sequence (decision 0008). What was moved
    here may have been followed further in one partition than in another, and have one sequence in several.
    """
    positions = Positions(mark)
    behind, told = _Events(positions.floor, PARTITIONS), []
    size = max(limit, _FOLLOWED_AT_ONCE)
    while True:
        rows = database.execute(_EVENTS, (behind.sequence, behind.partition, size)).fetchall()
        read = [_told(row) for row in rows]
        told += positions.unknown(read)
        if len(told) >= limit:
            told = told[:limit]
            sequence = told[-1][0]
            return told, positions.within(sequence, (each.partition for at, each in told if at == sequence))
        if len(rows) < size:
            return told, positions.at_the_end(read[-1][0] if read else behind.sequence)
        behind = _Events(read[-1][0], read[-1][1].partition)


def _told(row: Row) -> tuple[int, Event]:
    """Return the sequence and the event of a row of `_EVENTS`."""
    return row[-1], event_from(row)


def find_events(database: sqlite3.Connection, numbers: Sequence[Number]) -> list[Event | None]:
    """Return the events at *numbers*, None where there is none."""
    found = []
    for number in numbers:
        row = database.execute(_FIND, number).fetchone()
        found.append(event_from(row) if row is not None else None)
    return found


class AdoptEvents:
    """Events put at sequences that were given elsewhere."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, told: Sequence[tuple[int, Event]], newest: int) -> None:
        self._rows = [(*event_row(event), sequence) for sequence, event in told]
        self._newest = newest

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Put them, and let no later sequence be below any."""
        cursor.executemany(_ADOPT, self._rows)
        cursor.execute(_REMEMBER, (self._newest,))


class DropEvents:
    """The removal of events by their numbers."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, numbers: Sequence[Number]) -> None:
        self._numbers = numbers

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Remove them, and remember how far the sequences had come."""
        cursor.execute(_REMEMBER, (0,))
        cursor.executemany(_DROP, self._numbers)


class Fence:
    """The fence, put up or taken down."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, *, up: bool) -> None:
        self._up = up

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Make or drop the triggers."""
        for statement in migrations.fence(up=self._up):
            cursor.execute(statement)


def _text(place: _Place) -> str:
    return msgspec.json.encode(place).decode()
