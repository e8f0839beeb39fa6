"""Changing sessions that live: what they are called. Read, decide, write; again if somebody wrote first."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sessiond.domain.documents import same_json
from sessiond.domain.endings import ending
from sessiond.domain.errors import StateConflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import SessionId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session, Standing
from sessiond.services.contention import Contention
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.sessions import Sessions

SESSION_ENDED = StateConflict("session_ended", "The session has ended; it does not change any more.")

Transition = Callable[[Standing, Instant], Session]
"""Makes the new session of the old one, pure; it may run more than once."""


class Changing:
    """What can be changed of a session."""

    def __init__(self, store: Store, clock: Clock, *, sessions: Sessions, contention: Contention) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._contention = contention

    async def change(self, session: Session, transition: Transition, *, by: Initiator) -> Standing:
        """Replace the session by what *transition* makes of it; nothing is written where that is the same.

        Raises `NotFound` (`session_unknown`), and `StateConflict` (`session_ended`) for one that no longer lives.
        """
        identifier: SessionId = session.id

        async def attempt() -> Standing:
            now, standing = self._clock.now(), await self._sessions.get(session.project, identifier)
            if ending(standing, now) is not None:
                raise SESSION_ENDED
            old = standing.session
            new = transition(standing, now)
            if same_json(new, old):
                return standing
            new = msgspec.structs.replace(new, version=old.version + 1)
            event = session_event(old, EventType.SESSION_CHANGED, by=by, now=now)
            await self._store.apply(Change.replacing(old, new, event))
            return msgspec.structs.replace(standing, session=new)

        return await self._contention.settle((session.project, session.subject), attempt)

    async def rename(self, session: Session, name: str | None, *, by: Initiator) -> Standing:
        """Give the session's client another name, or none."""
        return await self.change(session, lambda standing, _: standing.session.renamed(name), by=by)
