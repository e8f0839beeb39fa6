"""Moving: walking through the tables in the order of their keys, events under given sequences, and the fence."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.domain.events import Event
from sessiond.services.movable import BEGINNING, Number, Stretch
from sessiond.storage.engines.postgresql.connections import Connections, Rows
from sessiond.storage.engines.postgresql.rows import STORED, event_from, record_from, session_from, told_row

_SESSIONS = """
SELECT {stored}, body, partition FROM {schema}.sessions WHERE {schema}.primary_only() AND (partition, id) > ($1, $2)
ORDER BY partition, id LIMIT $3
"""
_RECORDS = """
SELECT partition, kind, project, id, body FROM {schema}.records
WHERE {schema}.primary_only() AND (partition, kind, project, id) > ($1, $2, $3, $4)
ORDER BY partition, kind, project, id LIMIT $5
"""
_EVENTS = """
SELECT sequence, at, partition, type, project, session, subject, by, data FROM {schema}.events
WHERE {schema}.primary_only() AND (partition, sequence) > ($1, $2) ORDER BY partition, sequence LIMIT $3
"""


class _Sessions(msgspec.Struct, frozen=True, tag="s"):
    """Behind the session of this id."""

    partition: int = -1
    id: bytes = b""


class _Records(msgspec.Struct, frozen=True, tag="r"):
    """Behind the record of this key."""

    partition: int = -1
    kind: str = ""
    project: bytes = b""
    id: bytes = b""


class _Events(msgspec.Struct, frozen=True, tag="e"):
    """Behind the event at this sequence of this partition."""

    partition: int = -1
    sequence: int = -1


_Place = _Sessions | _Records | _Events
_decode: msgspec.json.Decoder[_Place] = msgspec.json.Decoder(_Place)


class Passage:
    """What the mover asks of one schema."""

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections = connections
        self._schema = schema
        self._sessions, self._records, self._events = (
            sql.format(schema=schema, stored=", ".join(STORED)) for sql in (_SESSIONS, _RECORDS, _EVENTS)
        )

    async def walk(self, place: str, limit: int) -> Stretch:
        """Return what lies behind *place*: sessions first, then other records, then events."""
        behind = _Sessions() if place == BEGINNING else _decode.decode(place)
        match behind:
            case _Sessions():
                rows = await self._behind(self._sessions, behind, limit)
                last = rows[-1] if len(rows) == limit else None
                following = _Records() if last is None else _Sessions(last[12], last[0])
                return Stretch(records=[session_from(row) for row in rows], place=_text(following))
            case _Records():
                rows = await self._behind(self._records, behind, limit)
                further = _Records(*rows[-1][:4]) if len(rows) == limit else _Events()
                return Stretch(records=[record_from(row[1], row[4]) for row in rows], place=_text(further))
            case _Events():
                rows = await self._behind(self._events, behind, limit)
                told = [(row[0], event_from(row[1:])) for row in rows]
                after = _text(_Events(rows[-1][2], rows[-1][0])) if len(rows) == limit else None
                return Stretch(events=told, place=after)

    async def find_events(self, numbers: Sequence[Number]) -> list[Event | None]:
        """Return the events at *numbers*, None where there is none."""
        found: list[Event | None] = [None] * len(numbers)
        sql = f"SELECT * FROM {self._schema}.find_events($1, $2)"  # noqa: S608  a checked name
        for n, *row in await self._connections.fetch_alone(sql, *_columns(numbers)):
            found[n - 1] = event_from(row)
        return found

    async def adopt_events(self, told: Sequence[tuple[int, Event]], newest: int) -> None:
        """Put each event at its sequence."""
        await self._call(
            "adopt_events($1, $2)", [told_row(sequence, event) for sequence, event in told], newest
        )

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        """Remove events."""
        await self._call("drop_events($1, $2)", *_columns(numbers))

    async def fence(self, *, up: bool) -> None:
        """Put up the fence or take it down."""
        await self._call("put_up_fence()" if up else "take_down_fence()")

    async def _behind(self, sql: str, place: _Place, limit: int) -> Rows:
        return await self._connections.fetch_alone(sql, *msgspec.structs.astuple(place), limit)

    async def _call(self, call: str, *values: object) -> None:
        await self._connections.fetch_alone(f"SELECT {self._schema}.{call}", *values)


def _columns(numbers: Sequence[Number]) -> tuple[list[int], list[int]]:
    return [partition for partition, _ in numbers], [sequence for _, sequence in numbers]


def _text(place: _Place) -> str:
    return msgspec.json.encode(place).decode()
