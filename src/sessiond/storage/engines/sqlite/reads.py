"""Reads on one connection, none of which leaves a transaction open: the next read sees the newest commit."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from typing import cast

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, partition_of
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION, Deployment, Project, deployment_key, project_key
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.services.movable import Number, Stretch
from sessiond.services.ports import Place, Selection
from sessiond.storage.engines.sqlite import moving
from sessiond.storage.engines.sqlite.rows import (
    EVENT_COLUMNS,
    SESSION_COLUMNS,
    Row,
    event_from,
    key_row,
    project_bytes,
    project_text,
    record_from,
    session_from,
)

_SESSION = ", ".join(f"s.{column}" for column in SESSION_COLUMNS)
_WIDTH = len(SESSION_COLUMNS)
_GET_SESSION = f"SELECT {_SESSION} FROM sessions AS s WHERE id = ? AND project = ?"  # noqa: S608  constants only
_GET_RECORD = "SELECT body FROM records WHERE kind = ? AND project = ? AND id = ? AND partition = ?"
# The subject's id is its text as bytes. The control records' bodies are large and change rarely: their stamps suffice.
_STANDING = f"""
SELECT {_SESSION}, u.body, p.stamp, d.stamp FROM sessions AS s
LEFT JOIN records AS u
    ON u.kind = 'subject' AND u.project = s.project AND u.id = CAST(s.subject AS BLOB) AND u.partition = ?
LEFT JOIN records AS p ON p.kind = 'project' AND p.project = s.project AND p.id = x'' AND p.partition = ?
LEFT JOIN records AS d ON d.kind = 'deployment' AND d.project = ? AND d.id = x'' AND d.partition = ?
WHERE s.id = ? AND s.project = ?
"""  # noqa: S608
_EVENTS = f"SELECT sequence, {', '.join(EVENT_COLUMNS)} FROM events WHERE sequence > ?"  # noqa: S608
_NEWEST_EVENT = "SELECT max(newest, ifnull((SELECT max(sequence) FROM events), 0)) FROM purged_events"
_DEPLOYMENT = project_bytes(deployment_key().project)
_STAMPS = slice(_WIDTH + 1, _WIDTH + 3)
MOST_CONTROL_RECORDS = 1000
_EVER = 1 << 53  # milliseconds


class OfSubject(msgspec.Struct, frozen=True):
    """Which of a subject's sessions a list is about, as `Store.list_by_subject` says."""

    project: ProjectId
    subject: SubjectId
    live_at: Instant | None
    limit: int | None
    before: SessionId | None


class Reads:
    """What can be asked of one reading connection."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        # Decoded control records by their stamp; no record has the stamp None.
        self._known: dict[int | None, Record | None] = {None: None}

    def close(self) -> None:
        """Let go of the connection."""
        self._database.close()

    def get(self, key: Key) -> Record | None:
        """Return the record at *key*."""
        if key.kind is Kind.SESSION:
            row = self._one(_GET_SESSION, (key.id, project_bytes(key.project)))
            return session_from(row) if row is not None and partition_of(key.id) == key.partition else None
        row = self._one(_GET_RECORD, key_row(key))
        return record_from(key.kind, row[0]) if row is not None else None

    def get_many(self, keys: Sequence[Key]) -> list[Record | None]:
        """Return the records at *keys*, read at one instant."""
        if len(keys) == 1:
            return [self.get(keys[0])]
        with self._one_instant():
            return [self.get(key) for key in keys]

    def standing(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return a session with everything its life depends on, read at one instant."""
        values = (
            partition_of(session),
            CONTROL_PARTITION,
            _DEPLOYMENT,
            CONTROL_PARTITION,
            session,
            project_bytes(project),
        )
        row = self._one(_STANDING, values)
        if row is None:
            return None
        found = session_from(row)
        of_project, of_deployment = row[_STAMPS]
        if (
            (found.actor is None or found.actor.subject is None)
            and of_project in self._known
            and of_deployment in self._known
        ):
            return self._assembled(found, row)
        with self._one_instant():
            # An actor has its own records, and changed control records their bodies: more than one statement.
            row = self._one(_STANDING, values)
            if row is None:
                return None
            found = session_from(row)
            if len(self._known) >= MOST_CONTROL_RECORDS:
                self._known = {None: None}  # before either is learnt: the other would go with it
            for stamp, key in zip(row[_STAMPS], (project_key(project), deployment_key()), strict=True):
                if stamp not in self._known:
                    self._learn(stamp, key)
            return self._acted(self._assembled(found, row))

    def list_by_subject(self, wanted: OfSubject) -> list[Session]:
        """Return a subject's sessions, newest id first."""
        where, values = _of_subject(wanted, live_at=wanted.live_at)
        values.append(-1 if wanted.limit is None else wanted.limit)
        sql = f"SELECT {_SESSION} FROM sessions AS s {where} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [session_from(row) for row in self._all(sql, values)]

    def ids_by_subject(self, wanted: OfSubject, *, live_at: Instant | None) -> Generator[SessionId]:
        """Go through the ids of a subject's sessions; to be closed. With *live_at* None an index has them all."""
        where, values = _of_subject(wanted, live_at=live_at)
        rows = self._database.execute(f"SELECT id FROM sessions {where} ORDER BY id DESC", values)  # noqa: S608
        with contextlib.closing(rows):
            for (identifier,) in rows:
                yield identifier

    def scan(self, selection: Selection, limit: int, offset: int, after: Place | None) -> list[Record]:
        """Return a page of a selection, newest first. A session's id begins with its `created_at`."""
        where, values = _where(selection, after)
        if selection.kind is Kind.SESSION:
            sql = f"SELECT {_SESSION} FROM sessions AS s {where} ORDER BY id DESC"  # noqa: S608
            return [session_from(row) for row in self._page(sql, values, limit, offset)]
        sql = f"SELECT kind, body FROM records {where} ORDER BY sorted_at DESC, id DESC"  # noqa: S608
        return [record_from(*row) for row in self._page(sql, values, limit, offset)]

    def count(self, selection: Selection) -> int:
        """Return how many records a selection holds."""
        where, values = _where(selection)
        table = "sessions" if selection.kind is Kind.SESSION else "records"
        return int(self._all(f"SELECT count(*) FROM {table} {where}", values)[0][0])  # noqa: S608

    def events(
        self, after: int, limit: int, project: ProjectId | None, partition: Partition | None
    ) -> list[tuple[int, Event]]:
        """Return events above a sequence."""
        values: list[object] = [after]
        sql = _EVENTS
        if project is not None:
            sql += " AND project = ?"
            values.append(project_bytes(project))
        if partition is not None:
            sql += " AND partition = ?"
            values.append(partition)
        values.append(limit)
        return [
            (row[0], event_from(row[1:]))
            for row in self._all(f"{sql} ORDER BY sequence, partition LIMIT ?", values)
        ]

    def newest_event(self) -> int:
        """Return the highest sequence ever written, also if its event was purged."""
        row = self._one(_NEWEST_EVENT, ())
        return int(row[0]) if row is not None else 0

    def newest_change(self) -> int:
        """Return the sequence of the last change that a command wrote down."""
        row = self._one("SELECT seq FROM sqlite_sequence WHERE name = 'changes'", ())
        return int(row[0]) if row is not None else 0

    def changes(self, after: int) -> list[tuple[int, str, ProjectId, bytes]]:
        """Return what commands changed: sequence, kind, project, id."""
        sql = "SELECT sequence, kind, project, id FROM changes WHERE sequence > ? ORDER BY sequence"
        return [(row[0], row[1], project_text(row[2]), row[3]) for row in self._all(sql, (after,))]

    def walk(self, place: str, limit: int) -> Stretch:
        """Return what lies behind a place of a walk."""
        return moving.walk(self._database, place, limit)

    def follow(self, mark: bytes, limit: int) -> tuple[list[tuple[int, Event]], bytes]:
        """Return what was not told at *mark*, and the mark after it."""
        return moving.follow(self._database, mark, limit)

    def find_events(self, numbers: Sequence[Number]) -> list[Event | None]:
        """Return the events at *numbers*."""
        return moving.find_events(self._database, numbers)

    def _learn(self, stamp: int | None, key: Key) -> None:
        record = self.get(key)
        if stamp is None or record is None:
            return
        self._known[stamp] = record

    def _assembled(self, found: Session, row: Row) -> Standing:
        body, project_stamp, deployment_stamp = row[_WIDTH:]
        return Standing(
            session=found,
            subject=cast("Subject", record_from(Kind.SUBJECT, body)) if body is not None else None,
            project=cast("Project | None", self._known[project_stamp]),
            deployment=cast("Deployment | None", self._known[deployment_stamp]),
        )

    def _acted(self, standing: Standing) -> Standing:
        """Return the standing with the subject who acts and that subject's own session, if any."""
        project, actor = standing.session.project, standing.session.actor
        if actor is None or actor.subject is None:
            return standing
        acting = (
            None
            if actor.partition is None
            else self.get(subject_key(project, actor.subject, actor.partition))
        )
        own = None if actor.session is None else self.get(session_key(project, actor.session))
        return msgspec.structs.replace(
            standing, actor=cast("Subject | None", acting), acting=cast("Session | None", own)
        )

    @contextlib.contextmanager
    def _one_instant(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            self._database.execute("COMMIT")

    def _one(self, sql: str, values: Sequence[object]) -> Row | None:
        rows = self._database.execute(sql, values).fetchall()
        return rows[0] if rows else None

    def _all(self, sql: str, values: Sequence[object]) -> list[Row]:
        return self._database.execute(sql, values).fetchall()

    def _page(self, sql: str, values: Sequence[object], limit: int, offset: int) -> list[Row]:
        return self._all(f"{sql} LIMIT ? OFFSET ?", [*values, limit, offset])


def _of_subject(wanted: OfSubject, *, live_at: Instant | None) -> tuple[str, list[object]]:
    """Return the conditions of a subject's sessions and their values."""
    where = "WHERE project = ? AND subject = ?"
    values: list[object] = [project_bytes(wanted.project), wanted.subject]
    if wanted.before is not None:
        where += " AND id < ?"
        values.append(wanted.before)
    if live_at is None:
        return where, values
    where += " AND revoked_at IS NULL AND expires_at > ? AND last_seen_at + ifnull(idle_timeout_ms, ?) > ?"
    return where, [*values, live_at, _EVER, live_at]


def _where(selection: Selection, after: Place | None = None) -> tuple[str, list[object]]:
    """Return the conditions of a selection, below a place in its order, and their values."""
    of_sessions = selection.kind is Kind.SESSION
    conditions: list[str] = []
    values: list[object] = []
    if not of_sessions:
        conditions.append("kind = ?")
        values.append(selection.kind)
    if selection.project is not None:
        conditions.append("project = ?")
        values.append(project_bytes(selection.project))
    if selection.owner is not None:
        conditions.append("subject = ?" if of_sessions else "owner = ?")
        values.append(selection.owner)
    if selection.expired_at is not None:
        conditions.append(
            "expires_at <= ?" if selection.expired else "(expires_at IS NULL OR expires_at > ?)"
        )
        values.append(selection.expired_at)
    if after is not None and of_sessions:
        conditions.append("id < ?")
        values.append(after.id)
    elif after is not None:
        conditions.append("(sorted_at, id) < (?, ?)")
        values += [after.sorted_at, after.id]
    return (f"WHERE {' AND '.join(conditions)}" if conditions else "", values)
