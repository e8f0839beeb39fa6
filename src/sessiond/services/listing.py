"""Lists of sessions, in pages whose cursor is an id: no write moves what comes after it."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.callers import Manager, manages
from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.ids import ProjectId, SessionId, instant_of, lowest_id
from sessiond.domain.instants import Instant
from sessiond.domain.records import Kind
from sessiond.domain.session_filters import Filter, State
from sessiond.domain.sessions import Session
from sessiond.services.ports import Clock, Place, Selection, Store
from sessiond.services.sessions import Sessions

_LOOKED_AT = 200
"""Sessions that are looked at for one page, at most."""


class Listing:
    """Finds sessions by what they are like."""

    def __init__(self, store: Store, clock: Clock, *, sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions

    async def page(
        self, caller: Manager, wanted: Filter, *, limit: int, before: SessionId | None = None
    ) -> tuple[Sequence[tuple[Session, Ended | None]], SessionId | None]:
        """Return a page of what *caller* manages with how each ended, newest first, and the next page's *before*.

        At most *limit*, of ids below *before*; fewer, or none, where few of many are wanted. None for the next page's
        says that this was the last.
        """
        if wanted.subject is not None and not manages(caller, wanted.subject):
            return (), None
        now = self._clock.now()
        found: list[tuple[Session, Ended | None]] = []
        seen, left, portion = before, _LOOKED_AT, limit + 1
        start, managed = wanted.created.start, wanted.subject is not None
        while left > 0:
            rows = await self._rows(caller.project, wanted, seen, now=now, limit=portion)
            for standing in await self._sessions.standings(rows):
                row, why = standing.session, ending(standing, now)
                if start is not None and instant_of(row.id) < start:
                    return found, None
                if wanted.holds(row, why) and (managed or manages(caller, row.subject)):
                    if len(found) == limit:
                        return found, seen
                    found.append((row, None if why is None else how_ended(standing, why)))
                seen = row.id
            if len(rows) < portion:
                return found, None
            # Mostly nearly all that is looked at is wanted; where it is not, the rest is looked at in one go.
            left -= portion
            portion = left
        return found, seen

    async def _rows(
        self, project: ProjectId, wanted: Filter, before: SessionId | None, *, now: Instant, limit: int
    ) -> Sequence[Session]:
        """Return what is to be looked at: a subject's have an index of their own, a project's are in one order."""
        if wanted.created.end is not None:
            bound = lowest_id(wanted.created.end)
            before = bound if before is None else min(before, bound)
        if wanted.subject is not None:
            return await self._sessions.rows(
                project,
                wanted.subject,
                live_at=now if wanted.state is State.LIVE else None,
                limit=limit,
                before=before,
            )
        selection = Selection(kind=Kind.SESSION, project=project)
        after = None if before is None else Place(instant_of(before), before)
        rows = await self._store.scan(selection, limit=limit, after=after)
        return [row for row in rows if isinstance(row, Session)]
