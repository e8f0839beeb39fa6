"""Belongings: everything that is kept of one subject, wherever it lies. What is exported and what is erased is this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import TypeVar

import msgspec

from sessiond.domain.erasing import acts_in
from sessiond.domain.events import Event, concerns
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.pins import Attempts, Pin, pin_key
from sessiond.domain.records import Record
from sessiond.domain.replays import Replay
from sessiond.domain.sessions import Session, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.domain.vault import VaultEntry
from sessiond.services.keys import Keys
from sessiond.services.ports import Place, Selection, Store
from sessiond.services.replays import Replays

_PAGE = 200
_EVENTS_PAGE = 1000

AnyRecord = TypeVar("AnyRecord", bound=Record)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The events that name a subject, with their sequences, and the sessions that they say were its own."""

    events: Sequence[tuple[int, Event]]
    sessions: frozenset[SessionId]


class Belongings:
    """Finds what is kept of a subject, whether or not its own record is still there."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._replays = Replays(store, keys)

    async def subject(self, project: ProjectId, subject: SubjectId) -> Subject | None:
        """Return its record."""
        found = await self._store.get(subject_key(project, subject, self._keys.partition(project, subject)))
        return found if isinstance(found, Subject) else None

    async def pin(self, project: ProjectId, subject: SubjectId) -> Pin | None:
        """Return its PIN's record."""
        found = await self._store.get(pin_key(project, subject, self._keys.partition(project, subject)))
        return found if isinstance(found, Pin) else None

    async def sessions(self, project: ProjectId, subject: SubjectId) -> Sequence[Session]:
        """Return its sessions, ended ones too, newest first."""
        found: list[Session] = []
        while rows := await self._store.list_by_subject(
            project, subject, limit=_PAGE, before=found[-1].id if found else None
        ):
            found += rows
        return found

    async def entries(self, project: ProjectId, subject: SubjectId) -> Sequence[VaultEntry]:
        """Return what is in the vault for it, newest first."""
        return [row async for row in self._owned(VaultEntry, project, subject)]

    async def attempts(self, project: ProjectId, subject: SubjectId) -> Sequence[Attempts]:
        """Return the counters of failed PINs that belong to it."""
        return [row async for row in self._owned(Attempts, project, subject)]

    async def replays(self, project: ProjectId, subject: SubjectId) -> Sequence[Replay]:
        """Return what is remembered of creates for it that came with an `Idempotency-Key`."""
        return [row async for row in self._owned(Replay, project, self._replays.about(project, subject))]

    async def linked(self, project: ProjectId, subject: SubjectId) -> Sequence[Subject]:
        """Return who was linked to it last: devices and anonymous subjects. All of the project are looked at."""
        return [
            row
            async for row in self._owned(Subject, project, None)
            if row.link is not None and row.link.user == subject
        ]

    async def continued(self, project: ProjectId, subject: SubjectId, told: Told) -> Sequence[Session]:
        """Return the sessions of users that continue one of its own; it and the events say whom it was linked to."""
        known = await self.subject(project, subject)
        users = {str(event.data["user"]) for _, event in told.events if event.data.get("user") is not None}
        if known is not None and known.link is not None:
            users.add(known.link.user)
        theirs = [await self.sessions(project, SubjectId(user)) for user in sorted(users)]
        return [session for found in theirs for session in found if session.linked_from == subject]

    async def acted(self, project: ProjectId, subject: SubjectId, told: Told) -> Sequence[Session]:
        """Return the sessions of others in which it acts and that the events tell of."""
        named = {event.session for _, event in told.events if event.session is not None} - told.sessions
        found = await self._store.get_many([session_key(project, each) for each in sorted(named)])
        return [row for row in found if isinstance(row, Session) and acts_in(row, subject)]

    async def told(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        own: Collection[SessionId] = (),
        also: SubjectId | None = None,
        after: int = 0,
    ) -> Told:
        """Return the events that name it, lowest sequence first: all of the project's above *after* are read through.

        Those of its own partition are read from the beginning. *own* are sessions that are known to be its own, *also*
        is another name that some events may have for it.
        """
        sessions, found = set(own), {}
        partition = self._keys.partition(project, subject)
        async for number, event in self._events(project, partition, 0):
            if event.session is not None and event.subject in {subject, also}:
                sessions.add(event.session)
            if concerns(event, subject):
                found[number, partition] = event
        async for number, event in self._events(project, None, after):
            if concerns(event, subject, sessions):
                found[number, event.partition] = event
        events = [(number, event) for (number, _), event in sorted(found.items(), key=_place)]
        return Told(events=events, sessions=frozenset(sessions))

    async def _events(
        self, project: ProjectId, partition: Partition | None, after: int
    ) -> AsyncIterator[tuple[int, Event]]:
        """Go through the events until there is no further page: what a node wrote just now is among them."""
        while True:
            rows = await self._store.events(
                after=after, limit=_EVENTS_PAGE, project=project, partition=partition
            )
            for row in rows:
                yield row
            if len(rows) < _EVENTS_PAGE:
                return
            after = rows[-1][0]

    async def _owned(
        self, kind: type[AnyRecord], project: ProjectId, owner: str | None
    ) -> AsyncIterator[AnyRecord]:
        """Go through the records of a kind, newest first, in pages that no write moves."""
        selection = Selection(kind=kind.kind, project=project, owner=owner)
        after: Place | None = None
        while rows := await self._store.scan(selection, limit=_PAGE, after=after):
            for row in rows:
                if isinstance(row, kind):
                    yield row
            after = Place.of(rows[-1])


def _place(found: tuple[tuple[int, Partition], Event]) -> tuple[int, Partition]:
    return found[0]
