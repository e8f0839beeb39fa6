"""What the writer thread runs: each operation checks what it expects by reading, then writes, within one transaction.

All values are prepared on the loop, where a value that cannot be stored is its caller's error alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from sessiond.domain.errors import Conflict
from sessiond.domain.events import Event
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, session_key
from sessiond.services.ports import Change, Revocation, Touch
from sessiond.storage import batching
from sessiond.storage.engines.sqlite.rows import (
    EVENT_COLUMNS,
    RECORD_COLUMNS,
    SESSION_COLUMNS,
    SESSION_NULLS,
    Row,
    event_row,
    key_row,
    project_bytes,
    project_text,
    record_row,
    session_from,
    session_row,
)

_SESSION = Kind.SESSION
_NULLS_FROM = -len(SESSION_NULLS)
_ONE_RECORD = "kind = ? AND project = ? AND id = ? AND partition = ?"
_ONE_SESSION = "id = ? AND project = ?"


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_SESSION_VERSION = f"SELECT version FROM sessions WHERE {_ONE_SESSION}"  # noqa: S608  constants only, here and below
_RECORD_VERSION = f"SELECT version FROM records WHERE {_ONE_RECORD}"  # noqa: S608
_INSERT_SESSION = _insert("sessions", SESSION_COLUMNS)
_INSERT_MOST_SESSIONS = _insert("sessions", SESSION_COLUMNS[:_NULLS_FROM])
# One more than the highest sequence that is there, or was before a purge.
_INSERT_EVENT = (
    _insert("events", EVENT_COLUMNS)
    .replace("data)", "data, sequence)")
    .replace(
        "?)",
        "?, (SELECT max(newest, ifnull((SELECT max(sequence) FROM events), 0)) + 1 FROM purged_events))",
    )
)
_INSERT_RECORD = (
    _insert("records", RECORD_COLUMNS).replace("body)", "body, stamp)").replace("?)", "?, random())")
)
_NEVER_FALLING = ("last_seen_at", "seen_generation")
_SESSION_INDEXED = ("subject", "expires_at", "revoked_at")
_RECORD_INDEXED = ("owner", "sorted_at", "purge_at")


def _update(
    table: str, columns: Sequence[str], key: int, *, staying: Sequence[str] = (), also: str = ""
) -> str:
    """Return the update of a row whose first *key* columns are its key. It takes a row's values and its former version.

    It finds no row whose *staying* columns would change. They are not in its SET clause: SQLite writes anew the entry
    of every index that has a column there, also where its value stays; for a session two random pages besides its own.
    """
    at = {name: f"?{n}" for n, name in enumerate(columns, start=1)}
    sets = (
        f"{name} = max({name}, {at[name]})" if name in _NEVER_FALLING else f"{name} = {at[name]}"
        for name in columns[key:]
        if name not in staying
    )
    one = [f"{name} = {at[name]}" for name in columns[:key]]
    one += [f"{name} IS {at[name]}" for name in staying]
    one.append(f"version = ?{len(columns) + 1}")
    return f"UPDATE {table} SET {', '.join(sets)}{also} WHERE {' AND '.join(one)}"  # noqa: S608


_UPDATE_SESSION = _update("sessions", SESSION_COLUMNS, 2)
_UPDATE_SESSION_IN_PLACE = _update("sessions", SESSION_COLUMNS, 2, staying=_SESSION_INDEXED)
_UPDATE_RECORD = _update("records", RECORD_COLUMNS, 4, also=", stamp = random()")
_UPDATE_RECORD_IN_PLACE = _update(
    "records", RECORD_COLUMNS, 4, staying=_RECORD_INDEXED, also=", stamp = random()"
)
_DELETE_SESSION = f"DELETE FROM sessions WHERE {_ONE_SESSION}"  # noqa: S608
_DELETE_RECORD = f"DELETE FROM records WHERE {_ONE_RECORD}"  # noqa: S608
_REVOKE = f"""
UPDATE sessions SET revoked_at = ?, revoked_reason = ?, version = version + 1
WHERE {_ONE_SESSION} AND revoked_at IS NULL
"""  # noqa: S608
# A touch moves no version.
_REVOKE_KNOWN = f"{_REVOKE} AND version = ? AND last_seen_at = ? AND seen_generation = ?"
_READ_SESSION = f"SELECT {', '.join(SESSION_COLUMNS)} FROM sessions WHERE {_ONE_SESSION}"  # noqa: S608
_TOUCH = """
UPDATE sessions SET last_seen_at = max(last_seen_at, ?1), seen_generation = max(seen_generation, min(?2, generation))
WHERE id = ?3 AND project = ?4 AND revoked_at IS NULL
    AND (last_seen_at < ?1 OR seen_generation < min(?2, generation))
"""
_PURGE_SESSIONS = (
    "SELECT id, project FROM sessions WHERE expires_at < ? ORDER BY expires_at LIMIT ?",
    "SELECT id, project FROM sessions WHERE revoked_at < ? ORDER BY revoked_at LIMIT ?",
)
_PURGE_RECORDS = """
SELECT kind, project, id, partition FROM records WHERE purge_at < ? ORDER BY purge_at LIMIT ?
"""
_REWRITE_EVENT = "UPDATE events SET {} WHERE sequence = ? AND partition = ?".format(  # noqa: S608
    ", ".join(f"{column} = ?" for column in EVENT_COLUMNS)
)
_PURGE_EVENTS = """
DELETE FROM events WHERE (sequence, partition) IN (
    SELECT sequence, partition FROM events WHERE at < ? ORDER BY at, sequence LIMIT ?
)
"""
_REMEMBER_NEWEST = (
    "UPDATE purged_events SET newest = max(newest, ifnull((SELECT max(sequence) FROM events), 0))"
)


_Step = tuple[str, Row, str | None]
"""A statement, its values, and the one to be run with them where it finds no row."""


class Operation(batching.Operation, Protocol):
    """One intent; *keys* are the records it writes, complete once it ran."""

    @property
    def stale(self) -> Sequence[Key]:
        """Those of *keys* that may have been there before, so that memory may know what they were."""
        ...

    def run(self, cursor: sqlite3.Cursor) -> object:
        """Do it within the open transaction and return its answer, or raise `Conflict` before any write."""
        ...


class Apply:
    """A change that writes *keys* (of its puts, then of its deletes): its expectations, then its statements.

    *born* are those of its sessions that were not there before.
    """

    def __init__(self, change: Change, keys: Sequence[Key]) -> None:
        self.change = change
        self.keys = keys
        self.stale: list[Key] = []
        self.born: list[Session] = []
        self._checks: list[tuple[Key, int, str, Row]] = []
        self._steps: list[_Step] = []
        alone = len(change.expects) == len(change.puts) == 1
        # Loops, where comprehensions would read better: before Python 3.12 each of those is a call, for every write.
        for key, version in change.expects.items():
            written = key in keys
            if version and written:
                self.stale.append(key)
            # The update of nothing else checks by itself; so does a new session's insert, by its primary key.
            if not (alone if version else written and key.kind is _SESSION):
                self._checks.append((key, version, *_version_of(key)))
        for record, key in zip(change.puts, keys, strict=False):
            expected = change.expects[key]
            if not isinstance(record, Session):
                self._steps.append(_put_record(record, key, expected))
            elif expected:
                row = session_row(record)
                self._steps.append((_UPDATE_SESSION_IN_PLACE, (*row, expected), _UPDATE_SESSION))
            else:
                self._steps.append(_insert_session(session_row(record)))
                self.born.append(record)
        for key in change.deletes:
            self._steps.append(_delete(key))
        for event in change.events:
            self._steps.append((_INSERT_EVENT, event_row(event), None))

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Check, then write."""
        for key, version, sql, values in self._checks:
            row = cursor.execute(sql, values).fetchone()
            if (row[0] if row is not None else 0) != version:
                raise Conflict(f"{key.kind} is not at version {version}")
        for sql, values, otherwise in self._steps:
            if cursor.execute(sql, values).rowcount or otherwise is None:
                continue
            if not cursor.execute(otherwise, values).rowcount:
                raise Conflict("the record is not at the version that was expected")


class Revoke:
    """Revocations; the answer is each session as it is afterwards.

    *known* are the sessions as they were last seen, if they were: one whose row is still that need not be read.
    """

    def __init__(self, revocations: Sequence[Revocation], known: Sequence[Session | None]) -> None:
        self.keys = self.stale = [session_key(each.project, each.session) for each in revocations]
        self._each = [
            (each, event_row(each.event), seen) for each, seen in zip(revocations, known, strict=True)
        ]

    def run(self, cursor: sqlite3.Cursor) -> list[Session | None]:
        """End each, and read what is not known."""
        return [_revoke(cursor, *each) for each in self._each]


class TouchAll:
    """Touches, each without effect where the row is already further."""

    def __init__(self, touches: Sequence[Touch]) -> None:
        self.touches = touches
        self.keys = self.stale = [session_key(touch.project, touch.session) for touch in touches]
        self._rows = [
            (touch.seen_at, touch.generation, touch.session, project_bytes(touch.project))
            for touch in touches
        ]

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Raise what is lower."""
        cursor.executemany(_TOUCH, self._rows)


class Purge:
    """The removal of at most *limit* records; the answer is how many went, and *keys* which."""

    def __init__(self, ended_before: Instant, due_before: Instant, limit: int) -> None:
        self.keys: list[Key] = []
        self.stale = self.keys
        self._ended_before = ended_before
        self._due_before = due_before
        self._limit = limit

    def run(self, cursor: sqlite3.Cursor) -> int:
        """Remove ended sessions first, then other records that may go."""
        self.keys.clear()
        for sql in _PURGE_SESSIONS:
            for identifier, project in self._find(cursor, sql, self._ended_before):
                cursor.execute(_DELETE_SESSION, (identifier, project))
                self.keys.append(session_key(project_text(project), identifier))
        for row in self._find(cursor, _PURGE_RECORDS, self._due_before):
            cursor.execute(_DELETE_RECORD, row)
            self.keys.append(Key(Kind(row[0]), row[3], project_text(row[1]), row[2]))
        return len(self.keys)

    def _find(self, cursor: sqlite3.Cursor, sql: str, before: Instant) -> list[Row]:
        left = self._limit - len(self.keys)
        return cursor.execute(sql, (before, left)).fetchall() if left else []


class PurgeEvents:
    """The removal of at most *limit* of the oldest events; the answer is how many went."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, before: Instant, limit: int) -> None:
        self._values = (before, limit)

    def run(self, cursor: sqlite3.Cursor) -> int:
        """Remove them."""
        cursor.execute(_REMEMBER_NEWEST)
        return cursor.execute(_PURGE_EVENTS, self._values).rowcount


class RewriteEvents:
    """The replacement of what events tell, each where it is still there."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        self._rows = [(*event_row(event), sequence, event.partition) for sequence, event in rewritten]

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Replace them."""
        cursor.executemany(_REWRITE_EVENT, self._rows)


class ForgetChanges:
    """The removal of what the server's memory has already dropped."""

    keys: Sequence[Key] = ()
    stale: Sequence[Key] = ()

    def __init__(self, up_to: int) -> None:
        self._up_to = up_to

    def run(self, cursor: sqlite3.Cursor) -> None:
        """Remove them."""
        cursor.execute("DELETE FROM changes WHERE sequence <= ?", (self._up_to,))


def _version_of(key: Key) -> tuple[str, Row]:
    if key.kind is _SESSION:
        return _SESSION_VERSION, (key.id, project_bytes(key.project))
    return _RECORD_VERSION, key_row(key)


def _insert_session(row: Row) -> _Step:
    # Columns that are not named are NULL, too; sqlite3 takes several times as long for a None as for a number.
    if row[_NULLS_FROM:] == SESSION_NULLS:
        return _INSERT_MOST_SESSIONS, row[:_NULLS_FROM], None
    return _INSERT_SESSION, row, None


def _put_record(record: Record, key: Key, expected: int) -> _Step:
    row = record_row(record, key)
    if not expected:
        return _INSERT_RECORD, row, None
    return _UPDATE_RECORD_IN_PLACE, (*row, expected), _UPDATE_RECORD


def _delete(key: Key) -> _Step:
    if key.kind is _SESSION:
        return _DELETE_SESSION, (key.id, project_bytes(key.project)), None
    return _DELETE_RECORD, key_row(key), None


def _revoke(cursor: sqlite3.Cursor, asked: Revocation, event: Row, known: Session | None) -> Session | None:
    one = (asked.session, project_bytes(asked.project))
    values = (asked.at, asked.reason, *one)
    if known is not None:
        seen = (known.version, known.last_seen_at, known.seen_generation)
        if cursor.execute(_REVOKE_KNOWN, (*values, *seen)).rowcount:
            cursor.execute(_INSERT_EVENT, event)
            return known.revoked(now=asked.at, reason=asked.reason)
    if cursor.execute(_REVOKE, values).rowcount:
        cursor.execute(_INSERT_EVENT, event)
    row = cursor.execute(_READ_SESSION, one).fetchone()
    return session_from(row) if row is not None else None
