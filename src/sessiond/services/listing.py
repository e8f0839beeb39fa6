"""Lists of a subject's sessions, in pages whose cursor is an id: no write moves what comes after it."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.session_filters import Filter, State
from sessiond.domain.sessions import Session
from sessiond.services.ports import Clock, Store
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
        self,
        project: ProjectId,
        subject: SubjectId,
        wanted: Filter,
        *,
        limit: int,
        before: SessionId | None = None,
    ) -> tuple[Sequence[tuple[Session, Ended | None]], SessionId | None]:
        """Return a page of the subject's sessions with why each ended, newest first, and the next page's *before*.

        At most *limit*, of ids below *before*; fewer where few of many are wanted. None for the next page's says that
        this was the last.
        """
        now = self._clock.now()
        rows = await self._store.list_by_subject(
            project,
            subject,
            live_at=now if wanted.state is State.LIVE else None,
            limit=_LOOKED_AT,
            before=before,
        )
        found: list[tuple[Session, Ended | None]] = []
        seen: SessionId | None = None
        for standing in await self._sessions.standings(rows):
            row, why = standing.session, ending(standing, now)
            if wanted.holds(row, why):
                if len(found) == limit:
                    return found, seen
                found.append((row, None if why is None else how_ended(standing, why)))
            seen = row.id
        return found, seen if len(rows) == _LOOKED_AT else None
