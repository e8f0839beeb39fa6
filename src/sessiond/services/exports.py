"""Exports: all that is kept of one subject, to be handed to whom it is about (GDPR, articles 15 and 20)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from sessiond.domain.events import Event, EventType, concerns
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.pins import Pin, pin_key
from sessiond.domain.records import Kind
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject
from sessiond.domain.vault import VaultEntry
from sessiond.services.ports import Change, Clock, Selection, Store
from sessiond.services.subjects import Subjects

_PAGE = 100
_EVENTS_PAGE = 1000
_MOST_ENTRIES = 10_000
"""As many as `vault.max_per_user` can allow."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of *subject* as of *at*. Sessions, entries: newest first; events: oldest first."""

    at: Instant
    subject: Subject
    pin: Pin | None
    sessions: Sequence[Standing]
    entries: Sequence[VaultEntry]
    events: Sequence[Event]


class Exports:
    """Gathers what is kept of a subject."""

    def __init__(self, store: Store, clock: Clock, *, subjects: Subjects) -> None:
        self._store = store
        self._clock = clock
        self._subjects = subjects

    async def export(self, project: ProjectId, subject: SubjectId, *, by: str) -> Export:
        """Return all that is kept of the subject, or raise `NotFound` (`subject_unknown`).

        That it was exported is an event, written first. The parts are read one after the other: what changes
        meanwhile may be in one of them and not yet in another. All events of the project are read through.
        """
        await self._note(await self._subjects.require(project, subject), by)
        sessions = await self._sessions(project, subject)
        entries = await self._entries(project, subject)
        events = await self._events(project, subject)
        found = await self._subjects.require(project, subject)
        pin = await self._store.get(pin_key(project, subject, found.partition))
        return Export(
            at=self._clock.now(),
            subject=found,
            pin=pin if isinstance(pin, Pin) and pin.belongs_to(found) else None,
            sessions=sessions,
            entries=entries,
            events=events,
        )

    async def _note(self, subject: Subject, by: str) -> None:
        event = Event(
            type=EventType.SUBJECT_EXPORTED,
            at=self._clock.now(),
            partition=subject.partition,
            project=subject.project,
            subject=subject.id,
            by=by,
        )
        await self._store.apply(Change(partition=subject.partition, expects={}, events=[event]))

    async def _sessions(self, project: ProjectId, subject: SubjectId) -> Sequence[Standing]:
        found: list[Standing] = []
        before: SessionId | None = None
        while rows := await self._store.list_by_subject(project, subject, limit=_PAGE, before=before):
            read = await asyncio.gather(*(self._store.find_session(project, row.id) for row in rows))
            found += [standing for standing in read if standing is not None]
            before = rows[-1].id
        return found

    async def _entries(self, project: ProjectId, subject: SubjectId) -> Sequence[VaultEntry]:
        """Return the entries, read at one instant: no page is left out because another entry moved."""
        selection = Selection(kind=Kind.VAULT_ENTRY, project=project, owner=subject)
        rows = await self._store.scan(selection, limit=_MOST_ENTRIES)
        return [row for row in rows if isinstance(row, VaultEntry)]

    async def _events(self, project: ProjectId, subject: SubjectId) -> Sequence[Event]:
        found: list[Event] = []
        after, last = 0, await self._store.newest_event()
        while after < last:
            rows = await self._store.events(after=after, limit=_EVENTS_PAGE, project=project)
            if not rows:
                break
            found += [event for number, event in rows if number <= last and concerns(event, subject)]
            after = rows[-1][0]
        return found
