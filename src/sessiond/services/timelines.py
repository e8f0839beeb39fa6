"""Timelines: what became of a session, in order, from the events; and how it ended, as it is judged now."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import msgspec

from sessiond.domain.callers import Manager, as_told_to, manages
from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.events import Event
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, instant_of, partition_of
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.sessions import Standing
from sessiond.domain.timelines import belongs, ended_all, ended_by
from sessiond.services.ports import Clock, Store
from sessiond.services.sessions import SESSION_UNKNOWN

_BITE = 500
_MOST_BITES = 20
_CLOCKS_APART_MS = 60_000


class Mark(msgspec.Struct, frozen=True, gc=False):
    """How far a timeline was read: the last event looked at and when it happened, and the first of the session's.

    *over* tells that the event was there which ended it.
    """

    sequence: int = 0
    at: Instant = 0
    first: int = 0
    over: bool = False


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a session's story, oldest first.

    *standing* is None once the row was purged. *ended* is None while the session lives; of a purged one it is told by
    the page that has the event. *by* names who ended it, where an event of this page tells. *following* None: the last.
    """

    standing: Standing | None
    ended: Ended | None
    by: str | None
    events: Sequence[Event]
    following: Mark | None


class Timelines:
    """Tells the stories of sessions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def page(
        self, caller: Manager, session: SessionId, *, limit: int, after: Mark | None = None
    ) -> Timeline:
        """Return at most *limit* events of the session after the mark, and those that ended all of the project's then.

        A page may hold fewer than there are: it looks at a bounded number of events. Raises `NotFound`
        (`session_unknown`) where neither a row nor an event knows the session as one that *caller* manages.
        """
        project = caller.project
        now, partition = self._clock.now(), partition_of(session)
        after = after or Mark(await self._before(partition, instant_of(session)))
        standing = await self._store.find_session(project, session)
        reading = _Reading(session, partition, project, after)
        reading.subject = (
            standing.session.subject if standing is not None else await self._subject_told(reading)
        )
        last = await self._read(reading, limit)
        unknown = last and standing is None and not reading.mark.first
        if unknown or not (reading.subject is None or manages(caller, reading.subject)):
            raise SESSION_UNKNOWN
        until = None if last else reading.mark.at
        wider = await self._wider(reading, after.at, until)
        events = list(heapq.merge(reading.found, wider, key=lambda event: event.at))
        endings = [] if after.over else _endings(events, session)
        mark = msgspec.structs.replace(reading.mark, over=after.over or bool(endings))
        ended, by = _how_ended(standing, endings, now)
        return Timeline(
            standing=standing,
            ended=ended,
            by=by,
            events=[as_told_to(caller, event) for event in events],
            following=None if last else mark,
        )

    async def _subject_told(self, reading: _Reading) -> SubjectId | None:
        """Return the subject that the session's first event names, once that was seen."""
        first = reading.mark.first
        if not first:
            return None
        rows = await self._store.events(
            after=first - 1, limit=1, project=reading.project, partition=reading.partition
        )
        return rows[0][1].subject if rows else None

    async def _read(self, reading: _Reading, limit: int) -> bool:
        """Read on in the session's partition; tell whether that was all."""
        for _ in range(_MOST_BITES):
            rows = await self._store.events(
                after=reading.mark.sequence, limit=_BITE, project=reading.project, partition=reading.partition
            )
            for sequence, event in rows:
                if len(reading.found) == limit:
                    return False
                reading.take(sequence, event)
            if len(rows) < _BITE:
                return True
        return False

    async def _before(self, partition: Partition, since: Instant) -> int:
        """Return a sequence after which the partition tells everything since then, found by halving, not by reading.

        What happened is in order but for the difference of the nodes' clocks.
        """
        low, high = 0, await self._store.newest_event()
        while high - low > _BITE:
            middle = (low + high) // 2
            rows = await self._store.events(after=middle, limit=1, partition=partition)
            if rows and rows[0][1].at < since - _CLOCKS_APART_MS:
                low = rows[0][0]
            else:
                high = middle
        return low

    async def _wider(self, reading: _Reading, since: Instant, until: Instant | None) -> Sequence[Event]:
        """Return what ended all sessions of the project or the deployment between the two."""
        found: list[Event] = []
        sequence = await self._before(CONTROL_PARTITION, max(since, instant_of(reading.session)))
        for _ in range(_MOST_BITES):
            rows = await self._store.events(after=sequence, limit=_BITE, partition=CONTROL_PARTITION)
            found += [event for _, event in rows if ended_all(event, reading.session, reading.project)]
            if len(rows) < _BITE:
                break
            sequence = rows[-1][0]
        return [event for event in found if since < event.at and (until is None or event.at <= until)]


class _Reading:
    """One page in the making."""

    def __init__(self, session: SessionId, partition: Partition, project: ProjectId, mark: Mark) -> None:
        self.session = session
        self.partition = partition
        self.project = project
        self.mark = mark
        self.subject: SubjectId | None = None
        self.found: list[Event] = []

    def take(self, sequence: int, event: Event) -> None:
        """Look at one event, and keep it if it belongs here."""
        first = self.mark.first
        if event.session == self.session:
            first = first or sequence
            self.subject = self.subject or event.subject
        if belongs(event, self.session, self.subject):
            self.found.append(event)
        self.mark = Mark(sequence, max(event.at, self.mark.at), first, self.mark.over)


def _endings(events: Sequence[Event], session: SessionId) -> Sequence[tuple[Ended, str]]:
    """Return each way in which *events* ended the session, and who did it."""
    return [(ended, event.by) for event in events if (ended := ended_by(event, session)) is not None]


def _how_ended(
    standing: Standing | None, endings: Sequence[tuple[Ended, str]], now: Instant
) -> tuple[Ended | None, str | None]:
    """Return how the session ended, as its row says it or else the first of *endings*; and who ended it, if told."""
    if standing is None:
        return endings[0] if endings else (None, None)
    why = ending(standing, now)
    if why is None:
        return None, None
    ended = how_ended(standing, why)
    for told, by in endings:
        if ended.at is None and told.why is why:
            return told, by
        if ended.at == told.at:
            return ended, by
    return ended, None
