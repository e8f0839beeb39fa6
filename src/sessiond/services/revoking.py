"""Ending several sessions at once: by their ids, or a subject's but for one. Each is in force on return."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.callers import Manager, manages
from sessiond.domain.endings import ending
from sessiond.domain.errors import NotFound, Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session, session_key
from sessiond.domain.subjects import OPERATOR
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.own_sessions import OwnSessions
from sessiond.services.ports import Clock, Revocation, Store
from sessiond.services.projects import Projects
from sessiond.services.sessions import SESSION_UNKNOWN, Sessions
from sessiond.services.subjects import Subjects


class Revoking:
    """Ends sessions of a project."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        sessions: Sessions,
        own: OwnSessions,
        subjects: Subjects,
        projects: Projects,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._own = own
        self._subjects = subjects
        self._projects = projects

    async def revoke_many(
        self, caller: Manager, sessions: Sequence[SessionId], *, reason: str
    ) -> Sequence[SessionId]:
        """End each of *sessions* that *caller* manages, and return those; ended ones keep their first reason."""
        now = self._clock.now()
        rows = await self._store.get_many(
            [session_key(caller.project, each) for each in dict.fromkeys(sessions)]
        )
        found = [row for row in rows if isinstance(row, Session) and manages(caller, row.subject)]
        await self._store.revoke(
            [
                Revocation(
                    project=caller.project,
                    session=row.id,
                    reason=reason,
                    at=now,
                    event=session_event(
                        row, EventType.SESSION_REVOKED, by=caller.initiator, now=now, reason=reason
                    ),
                )
                for row in found
            ]
        )
        return [row.id for row in found]

    async def revoke_all(self, caller: Manager, subject: SubjectId, *, reason: str) -> None:
        """End all of a subject's sessions in one write; an unknown one has none, which is no error.

        Raises `NotFound` (`subject_unknown`) for one whose sessions *caller* does not manage: they go on.
        """
        if not manages(caller, subject):
            raise NotFound("subject_unknown", "There is no such subject.", {"subject": subject})
        await self._subjects.revoke_sessions(caller.project, subject, reason=reason, by=caller.initiator)

    async def revoke_project(self, caller: Manager, *, reason: str) -> None:
        """End every session of the project that *caller* manages, in one write."""
        spares = caller.project == DEFAULT_PROJECT and not manages(caller, OPERATOR)
        await self._projects.revoke_sessions(
            caller.project, reason=reason, by=caller.initiator, spares_operator=spares
        )

    async def revoke_others(
        self, caller: Manager, subject: SubjectId, *, kept: SessionId, reason: str
    ) -> None:
        """End all of a subject's sessions but *kept*, in one write.

        Raises `NotFound` (`session_unknown`) if that is no session of the subject, and `StateConflict`
        (`session_ended`) if it no longer lives; then nothing ends.
        """
        standing = await self._sessions.managed(caller, kept)
        if standing.session.subject != subject:
            raise SESSION_UNKNOWN
        if ending(standing, self._clock.now()) is not None:
            raise SESSION_ENDED
        try:
            await self._own.end_others(standing.session, reason=reason, by=caller.initiator)
        except Unauthenticated as refusal:
            refusal.forget_where()
            raise SESSION_ENDED from None
