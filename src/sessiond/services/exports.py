"""Exports: all that is kept of one subject, to be handed to whom it is about (GDPR, articles 15 and 20)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.domain.errors import NotFound
from sessiond.domain.events import Event, EventType, did, without_whereabouts
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, instant_of
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.namesakes import is_formers, predates, since_deleted
from sessiond.domain.pins import Attempts, Pin
from sessiond.domain.replays import Replay
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import Subject
from sessiond.domain.vault import VaultEntry
from sessiond.services.belongings import Belongings
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.sessions import Sessions


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a subject as of *at*; *subject* None: of a user of the vault who never was one.

    *linked* are those who were linked to it last, *continued* the sessions of users that go on from one of its own,
    *acted* the sessions of others in which it acts. Sessions, entries: newest first; events: oldest first.
    """

    at: Instant
    subject: Subject | None
    pin: Pin | None
    attempts: Sequence[Attempts]
    sessions: Sequence[Standing]
    entries: Sequence[VaultEntry]
    replays: Sequence[Replay]
    linked: Sequence[Subject]
    continued: Sequence[Session]
    acted: Sequence[Session]
    events: Sequence[Event]


class Exports:
    """Gathers what is kept of a subject."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, *, belongings: Belongings, sessions: Sessions
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._belongings = belongings
        self._sessions = sessions

    async def export(self, project: ProjectId, subject: SubjectId, *, by: Initiator) -> Export:
        """Return all that is kept of the subject, or raise `NotFound` (`subject_unknown`).

        What a former holder of the id left behind is not its own; from where others did something is theirs. That it
        was exported is an event, written first. The parts are read one after the other: what changes meanwhile may be
        in one of them and not yet in another. All events and subjects of the project are read through.
        """
        kept = self._belongings
        found, entries = await kept.subject(project, subject), await kept.entries(project, subject)
        if found is None and not entries:
            raise NotFound("subject_unknown", "There is no such subject.", {"subject": subject})
        await self._note(project, subject, self._keys.partition(project, subject), by)
        rows = await kept.sessions(project, subject)
        told = await kept.told(project, subject, own=[row.id for row in rows])
        pin = await kept.pin(project, subject)
        return Export(
            at=self._clock.now(),
            subject=found,
            pin=pin if pin is not None and pin.belongs_to(found) else None,
            attempts=await kept.attempts(project, subject),
            sessions=[each for each in await self._sessions.standings(rows) if not is_formers(each)],
            entries=entries,
            replays=await kept.replays(project, subject),
            linked=[each for each in await kept.linked(project, subject) if _own_link(each, found)],
            continued=[
                each for each in await kept.continued(project, subject, told) if not predates(each, found)
            ],
            acted=[each for each in await kept.acted(project, subject, told) if not predates(each, found)],
            events=[
                event if did(event, subject) else without_whereabouts(event)
                for event in since_deleted([event for _, event in told.events], subject)
            ],
        )

    async def _note(
        self, project: ProjectId, subject: SubjectId, partition: Partition, by: Initiator
    ) -> None:
        event = by.did(
            EventType.SUBJECT_EXPORTED,
            at=self._clock.now(),
            partition=partition,
            project=project,
            subject=subject,
        )
        await self._store.apply(Change.telling(event))


def _own_link(linked: Subject, user: Subject | None) -> bool:
    """Tell whether the session that *linked* went on in was opened for *user*, and not for a former namesake."""
    link = linked.link
    return user is None or (link is not None and instant_of(SessionId(link.session)) >= user.created_at)
