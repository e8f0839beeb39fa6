"""Purging anonymous subjects that nobody uses any more, a few at a time.

Each is judged by its sessions, and goes by compare-and-swap: every sign-in of an anonymous subject moves its version,
so that a sign-in at the same moment either keeps it or makes it anew, and never has a session of nobody.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from sessiond.domain.abandoned import abandoned_since, is_stale, may_be_abandoned
from sessiond.domain.endings import Ended, ending, how_ended
from sessiond.domain.errors import Conflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId
from sessiond.domain.instants import Instant
from sessiond.domain.pins import pin_key
from sessiond.domain.records import Kind
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Change, Clock, Place, Selection, Store
from sessiond.services.projects import Projects
from sessiond.services.sessions import Sessions

_MOST_SESSIONS = 100
"""A subject with as many is left alone, and looked at again when some are purged."""


class Swept(msgspec.Struct, frozen=True):
    """How many went, and whether all subjects have been looked at now."""

    removed: int
    finished: bool


class StaleSubjects:
    """Goes round all subjects of all projects, and begins anew when it is through."""

    def __init__(self, store: Store, clock: Clock, *, projects: Projects, sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._projects = projects
        self._sessions = sessions
        self._left: list[ProjectId] = []
        self._after: Place | None = None

    async def sweep(self, kept_for: timedelta, *, limit: int) -> Swept:
        """Look at the next *limit* subjects, and remove those that nobody has used for *kept_for*."""
        if not self._left:
            self._left = [project.id for project in await self._projects.list_all()]
        selection = Selection(kind=Kind.SUBJECT, project=self._left[-1])
        rows = await self._store.scan(selection, limit=limit, after=self._after)
        removed = 0
        for row in rows:
            if isinstance(row, Subject) and may_be_abandoned(row):
                removed += await self._judge(row, kept_for)
        if len(rows) < limit:
            self._left.pop()
            self._after = None
        else:
            self._after = Place.of(rows[-1])
        return Swept(removed, not self._left)

    async def _judge(self, subject: Subject, kept_for: timedelta) -> bool:
        """Tell whether the subject is gone; when it was abandoned is written down, for when its sessions are purged."""
        now = self._clock.now()
        since = await self._since(subject, now)
        if since is None:
            return False
        try:
            if is_stale(since, kept_for=kept_for, now=now):
                return await self._remove(subject, now)
            if subject.abandoned_at is None:
                await self._write(subject, puts=[subject.abandoned(since)])
        except Conflict:
            pass  # somebody uses it, after all
        return False

    async def _since(self, subject: Subject, now: Instant) -> Instant | None:
        rows = await self._store.list_by_subject(subject.project, subject.id, limit=_MOST_SESSIONS)
        if len(rows) == _MOST_SESSIONS or await self._goes_on(subject, now):
            return None
        ends: list[Ended | None] = []
        for standing in await self._sessions.standings(rows):
            why = ending(standing, now)
            ends.append(None if why is None else how_ended(standing, why))
        return abandoned_since(subject, ends, now)

    async def _goes_on(self, subject: Subject, now: Instant) -> bool:
        """Tell whether the session of a user lives that it was linked to."""
        if subject.link is None:
            return False
        linked = await self._store.find_session(subject.project, SessionId(subject.link.session))
        return linked is not None and ending(linked, now) is None

    async def _remove(self, subject: Subject, now: Instant) -> bool:
        """Delete it, unless something else is kept for it."""
        entries = Selection(kind=Kind.VAULT_ENTRY, project=subject.project, owner=subject.id)
        pin = await self._store.get(pin_key(subject.project, subject.id, subject.partition))
        if pin is not None or await self._store.scan(entries, limit=1):
            return False
        event = Event(
            type=EventType.SUBJECT_DELETED,
            at=now,
            partition=subject.partition,
            project=subject.project,
            subject=subject.id,
            data={"reason": "abandoned"},
        )
        await self._write(subject, deletes=[subject.key], events=[event])
        return True

    async def _write(self, subject: Subject, **members: object) -> None:
        change = Change(partition=subject.partition, expects={subject.key: subject.version})
        await self._store.apply(msgspec.structs.replace(change, **members))
