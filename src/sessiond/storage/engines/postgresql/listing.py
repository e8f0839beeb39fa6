"""Reads of many, each a statement of its own: lists, pages, counts, events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sessiond.domain.events import Event
from sessiond.domain.ids import PARTITIONS, Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Kind, Record
from sessiond.domain.sessions import Session
from sessiond.services.ports import Place, Selection
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.postgresql.connections import Connections, Rows
from sessiond.storage.engines.postgresql.operations import Leaf
from sessiond.storage.engines.postgresql.rows import (
    STORED,
    event_from,
    project_bytes,
    record_from,
    session_from,
)
from sessiond.storage.positions import Positions

_PAGES_AT_ONCE = 16
"""Pages that one statement finds: others have the loop while the next is on its way."""

_PAGE, _UNFINISHED = len(STORED) + 1, len(STORED) + 2
"""The places in a row of `find_pages_within` that say whose page it is on, and whether that may go on behind it."""

_SESSION = ", ".join((*STORED, "body"))
_EVENT = "at, partition, type, project, session, subject, by, data"
_FOLLOW = f"""
SELECT sequence, {_EVENT} FROM unnest($1::text::bigint[]) WITH ORDINALITY AS p (position, number)
CROSS JOIN LATERAL (
    SELECT * FROM {{schema}}.events WHERE partition = (p.number - 1)::smallint AND sequence > p.position
    ORDER BY sequence LIMIT $2
) AS e WHERE {{schema}}.primary_only() ORDER BY sequence LIMIT $2
"""  # noqa: S608  constants and the schema's name only
_FOLLOW_ON = f"""
SELECT sequence, {_EVENT} FROM {{schema}}.events
WHERE sequence > $3 AND sequence > ((SELECT $1::text::bigint[]))[partition + 1] AND {{schema}}.primary_only()
ORDER BY sequence LIMIT $2
"""  # noqa: S608
_FARTHEST_FOLLOWED_ON = 4 * PARTITIONS
_READ_AT_ONCE = 256


class _Where:
    """Conditions and the values that they number."""

    def __init__(self, schema: str) -> None:
        self.values: list[object] = []
        self.conditions = [f"{schema}.primary_only()"]

    def add(self, condition: str, *values: object) -> None:
        """Add a condition with a `?` for each value."""
        for value in values:
            condition = condition.replace("?", self.value(value), 1)
        self.conditions.append(condition)

    def value(self, value: object) -> str:
        """Return the number that stands for *value*."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return "WHERE " + " AND ".join(self.conditions)


class Listing:
    """Asks the tables of one schema. Each call is one statement, so of one instant, but for pages: each is."""

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections = connections
        self._schema = schema
        self._pages = f"SELECT * FROM {schema}.find_pages_within($1)"  # noqa: S608  a checked name

    async def pages(self, questions: Sequence[Leaf]) -> Sequence[Outcome]:
        """Return for each the sessions of its subject, newest id first; None where too many had to be looked at."""
        found: list[list[Session]] = [[] for _ in questions]
        unfinished: set[int] = set()
        wanted = [(n, *question.values) for n, question in enumerate(questions)]
        for start in range(0, len(wanted), _PAGES_AT_ONCE):
            portion = wanted[start : start + _PAGES_AT_ONCE]
            for row in await self._connections.fetch(self._pages, portion, repeatable=True):
                found[row[_PAGE]].append(session_from(row))
                if row[_UNFINISHED]:
                    unfinished.add(row[_PAGE])
        return [None if n in unfinished else page for n, page in enumerate(found)]

    async def list_by_subject(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None,
        limit: int | None,
        before: SessionId | None,
    ) -> list[Session]:
        """Return a subject's sessions, newest id first."""
        where = _Where(self._schema)
        where.add("project = ? AND subject = ?", project_bytes(project), subject)
        if before is not None:
            where.add("id < ?", before)
        if live_at is not None:
            where.add("revoked_at IS NULL AND expires_at > ?", live_at)
            where.add("(idle_timeout_ms IS NULL OR last_seen_at + idle_timeout_ms > ?)", live_at)
        bound = "" if limit is None else f" LIMIT {where.value(limit)}"
        return [
            session_from(row)
            for row in await self._rows(f"{_SESSION} FROM", "sessions", where, f"ORDER BY id DESC{bound}")
        ]

    async def scan(
        self, selection: Selection, *, limit: int, offset: int, after: Place | None
    ) -> list[Record]:
        """Return a page of a selection, newest first. A session's id begins with its `created_at`."""
        where = self._selecting(selection)
        if selection.kind is Kind.SESSION:
            if after is not None:
                where.add("id < ?", after.id)
            page = f"ORDER BY id DESC LIMIT {where.value(limit)} OFFSET {where.value(offset)}"
            return [
                session_from(row) for row in await self._rows(f"{_SESSION} FROM", "sessions", where, page)
            ]
        if after is not None:
            where.add("(sorted_at, id) < (?, ?)", after.sorted_at, after.id)
        page = f"ORDER BY sorted_at DESC, id DESC LIMIT {where.value(limit)} OFFSET {where.value(offset)}"
        return [record_from(*row) for row in await self._rows("kind, body FROM", "records", where, page)]

    async def count(self, selection: Selection) -> int:
        """Return how many records a selection holds."""
        table = "sessions" if selection.kind is Kind.SESSION else "records"
        return int((await self._rows("count(*) FROM", table, self._selecting(selection)))[0][0])

    async def events(
        self, *, after: int, limit: int, project: ProjectId | None, partition: Partition | None
    ) -> list[tuple[int, Event]]:
        """Return events above a sequence."""
        where = _Where(self._schema)
        where.add("sequence > ?", after)
        if project is not None:
            where.add("project = ?", project_bytes(project))
        if partition is not None:
            where.add("partition = ?", partition)
        page = f"ORDER BY sequence LIMIT {where.value(limit)}"
        rows = await self._rows(f"sequence, {_EVENT} FROM", "events", where, page)
        return [(row[0], event_from(row[1:])) for row in rows]

    async def follow(self, positions: Positions, limit: int) -> list[tuple[int, Event]]:
        """Return events above the position of their partition: a partition's sequences follow its commits.

        Those that were told lie between the floor and the highest position: where these are close to each other, they
        are passed over one by one, else every partition is looked at.
        """
        # As one text: the driver takes longer for each of so many numbers than the database for all of them.
        reached = "{" + ",".join(map(str, positions.dense())) + "}"
        if positions.highest() - positions.floor > _FARTHEST_FOLLOWED_ON:
            rows = await self._connections.fetch_alone(_FOLLOW.format(schema=self._schema), reached, limit)
        else:
            sql = _FOLLOW_ON.format(schema=self._schema)
            rows = await self._connections.fetch_alone(sql, reached, limit, positions.floor)
        told: list[tuple[int, Event]] = []
        for start in range(0, len(rows), _READ_AT_ONCE):
            told += [(row[0], event_from(row[1:])) for row in rows[start : start + _READ_AT_ONCE]]
            await asyncio.sleep(0)  # others are answered in between
        return told

    async def newest_event(self) -> int:
        """Return the highest sequence ever written, also if its event was purged."""
        rows = await self._connections.fetch_alone(f"SELECT {self._schema}.newest_event()")
        return int(rows[0][0])

    def _selecting(self, selection: Selection) -> _Where:
        of_sessions = selection.kind is Kind.SESSION
        where = _Where(self._schema)
        if not of_sessions:
            where.add("kind = ?", selection.kind)
        if selection.project is not None:
            where.add("project = ?", project_bytes(selection.project))
        if selection.owner is not None:
            where.add("subject = ?" if of_sessions else "owner = ?", selection.owner)
        if selection.expired_at is not None:
            expired = "expires_at <= ?" if selection.expired else "(expires_at IS NULL OR expires_at > ?)"
            where.add(expired, selection.expired_at)
        return where

    async def _rows(self, what: str, table: str, where: _Where, end: str = "") -> Rows:
        sql = f"SELECT {what} {self._schema}.{table} {where} {end}"
        return await self._connections.fetch_alone(sql, *where.values)
