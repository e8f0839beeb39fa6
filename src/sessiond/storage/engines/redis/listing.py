"""Listing: every partition has its own index, changed by the script that changes the record; lists merge them.

So a list misses nothing and shows nothing that is not there, and costs one index read for each partition that may hold
the kind; one of a known partition costs a single one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar, cast

from sessiond.domain.ids import Partition, ProjectId, SessionId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session
from sessiond.services.ports import Place, Selection
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.directory import Directory
from sessiond.storage.engines.redis.layout import Entry, Layout, entry_from, instant, listed, session_place
from sessiond.storage.engines.redis.merging import merged
from sessiond.storage.engines.redis.reading import Reading

_Any = TypeVar("_Any")

_READ_AT_ONCE = 100
_CALLS_AT_ONCE = 256
_AFTER_ALL = b"\xff"


class _Source(NamedTuple):
    """The entries of a project in a partition's index: what they begin with, and before which place they begin."""

    partition: Partition
    project: ProjectId
    beginning: bytes
    before: bytes


class _Found(NamedTuple):
    """An entry and where it is from; *place* is what its member holds behind the beginning."""

    entry: Entry
    source: _Source
    place: bytes


def _newest_first(found: _Found) -> tuple[int, _Reversed]:
    return (-found.entry.sorted_at, _Reversed(found.entry.id))


class _Reversed:
    """Bytes that compare the other way round."""

    __slots__ = ("_bytes",)

    def __init__(self, of: bytes) -> None:
        self._bytes = of

    def __lt__(self, other: _Reversed) -> bool:
        return self._bytes > other._bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]


class Listing:
    """Lists, scans and counts."""

    def __init__(self, layout: Layout, directory: Directory, reading: Reading) -> None:
        self._layout = layout
        self._directory = directory
        self._reading = reading

    async def scan(
        self, selection: Selection, *, limit: int, offset: int, after: Place | None
    ) -> Sequence[Record]:
        """Return a page of a selection, newest first."""
        if limit <= 0:
            return []
        before = b"" if after is None else instant(after.sorted_at) + after.id
        sources = await self._sources(selection, before)
        entries = self._entries(sources, selection, expected=offset + limit)
        return await self._page(entries, selection.kind, limit=limit, offset=offset)

    async def list_by_subject(
        self,
        selection: Selection,
        *,
        live_at: Instant | None,
        limit: int | None,
        before: SessionId | None,
    ) -> Sequence[Session]:
        """Return the sessions of one subject, newest id first."""
        sources = await self._sources(selection, b"" if before is None else session_place(before))
        if limit is not None and limit <= 0:
            return []
        listed_sessions: list[Session] = []
        entries = self._entries(sources, selection, expected=_READ_AT_ONCE if limit is None else limit)
        async for records in self._records(entries, Kind.SESSION, portion=limit or _READ_AT_ONCE):
            sessions = [record for record in records if isinstance(record, Session)]
            listed_sessions += (each for each in sessions if live_at is None or _live(each, live_at))
            if limit is not None and len(listed_sessions) >= limit:
                return listed_sessions[:limit]
        return listed_sessions

    async def count(self, selection: Selection) -> int:
        """Return how many records a selection holds."""
        sources = await self._sources(selection, b"")
        if selection.expired_at is not None:
            entries = self._entries(sources, selection, expected=_READ_AT_ONCE * len(sources))
            return sum([1 async for _ in entries])
        total = 0
        for portion in _portions(sources):
            calls = [
                self._call("ZLEXCOUNT", source, b"[" + source.beginning, b"[" + source.beginning + _AFTER_ALL)
                for source in portion
            ]
            total += sum(cast("list[int]", await self._reading.ask(calls)))
        return total

    async def _sources(self, selection: Selection, before: bytes) -> list[_Source]:
        project, partition = selection.project, selection.partition
        if project is not None and partition is not None:
            places = [(project, partition)]
        else:
            places = await self._directory.holding(selection.kind, project)
        return [
            _Source(partition, project, listed(selection.kind, project, selection.owner), before)
            for project, partition in places
        ]

    async def _entries(
        self, sources: Sequence[_Source], selection: Selection, *, expected: int
    ) -> AsyncIterator[_Found]:
        async for found in merged(sources, self._fetch, expected=expected, order=_newest_first):
            if selection.expired_at is None or (
                (found.entry.expires_at <= selection.expired_at) is selection.expired
            ):
                yield found

    async def _fetch(
        self, wanted: Sequence[tuple[_Source, _Found | None]], portion: int
    ) -> Sequence[Sequence[_Found]]:
        fetched: list[Sequence[_Found]] = []
        for some in _portions(wanted):
            calls = [self._range(source, last, portion) for source, last in some]
            answers = cast("list[list[bytes]]", await self._reading.ask(calls))
            for (source, _), members in zip(some, answers, strict=True):
                skipped = len(source.beginning)
                fetched.append(
                    [_Found(entry_from(member, skipped), source, member[skipped:]) for member in members]
                )
        return fetched

    def _range(self, source: _Source, last: _Found | None, portion: int) -> Call:
        beginning = source.beginning
        place = last.place if last is not None else source.before
        highest = b"(" + beginning + place if place else b"[" + beginning + _AFTER_ALL
        return self._call("ZREVRANGEBYLEX", source, highest, b"[" + beginning, "LIMIT", 0, portion)

    def _call(self, verb: str, source: _Source, *arguments: bytes | str | int) -> Call:
        keys = self._layout[source.partition]
        return Call(keys.slot, (verb, keys.entries, *arguments))

    async def _page(
        self, entries: AsyncIterator[_Found], kind: Kind, *, limit: int, offset: int
    ) -> Sequence[Record]:
        for _ in range(offset):
            if await anext(entries, None) is None:
                return []
        page: list[Record] = []
        async for records in self._records(entries, kind, portion=limit):
            page += records
            if len(page) >= limit:
                break
        return page[:limit]

    async def _records(
        self, entries: AsyncIterator[_Found], kind: Kind, *, portion: int
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records of entries, in portions; one that has gone since its entry was read is left out."""
        portion = min(portion, _READ_AT_ONCE)
        keys: list[Key] = []
        async for found in entries:
            keys.append(Key(kind, found.source.partition, found.source.project, found.entry.id))
            if len(keys) == portion:
                yield [record for record in await self._reading.records(keys) if record is not None]
                keys = []
        if keys:
            yield [record for record in await self._reading.records(keys) if record is not None]


def _portions(sources: Sequence[_Any]) -> Sequence[Sequence[_Any]]:
    """Return *sources* in portions that do not hold up the loop for long."""
    each = iter(sources)
    return list(iter(lambda: list(islice(each, _CALLS_AT_ONCE)), []))


def _live(session: Session, now: Instant) -> bool:
    idle = session.idle_timeout_ms
    if session.revoked_at is not None or session.expires_at <= now:
        return False
    return idle is None or session.last_seen_at + idle > now
