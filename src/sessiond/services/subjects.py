"""Subjects: find, create, change, disable, enable, delete, and end all their sessions in one write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from sessiond.domain.errors import Conflict, NotFound, StateConflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.projects import EPOCH_ENTROPY, Epoch, draw_epoch
from sessiond.domain.records import Kind
from sessiond.domain.subject_filters import SubjectFilter
from sessiond.domain.subjects import Subject, SubjectKind, subject_key
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Place, Selection, Store
from sessiond.services.vault.leaving import Leaving

_LOOKED_AT = 500
"""Subjects that are looked at for one page, at most."""


class Subjects:
    """What can be asked of subjects and done to them."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, contention: Contention
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention
        self._leaving = Leaving(store, clock)

    async def get(self, project: ProjectId, subject: SubjectId) -> Subject | None:
        """Return the subject, or None when there is none of this id."""
        key = subject_key(project, subject, self._keys.partition(project, subject))
        record = await self._store.get(key)
        return record if isinstance(record, Subject) else None

    async def require(self, project: ProjectId, subject: SubjectId) -> Subject:
        """Return the subject, or raise `NotFound` (`subject_unknown`)."""
        found = await self.get(project, subject)
        if found is None:
            raise NotFound("subject_unknown", "There is no such subject.", {"subject": subject})
        return found

    def mint_id(self) -> SubjectId:
        """Return an id for a new subject: a random UUID (version 4)."""
        return SubjectId(str(UUID(bytes=self._entropy.bytes(16), version=4)))

    async def create(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        by: Initiator,
        kind: SubjectKind = SubjectKind.USER,
        name: str | None = None,
        anonymous: bool = False,
        profile: Mapping[str, object] | None = None,
    ) -> Subject:
        """Create the subject, or raise `StateConflict` (`subject_exists`)."""
        now = self._clock.now()
        born = Subject(
            project=project,
            id=subject,
            partition=self._keys.partition(project, subject),
            subject_kind=kind,
            epoch=self._epoch(),
            created_at=now,
            name=name,
            anonymous=anonymous,
            profile=profile or {},
        )
        change = Change(
            partition=born.partition,
            expects={born.key: 0},
            puts=[born],
            events=[_event(born, EventType.SUBJECT_CREATED, by, now)],
        )
        try:
            await self._store.apply(change)
        except Conflict:
            raise StateConflict(
                "subject_exists", "A subject of this id exists already.", {"subject": subject}
            ) from None
        return born

    async def page(
        self, project: ProjectId, wanted: SubjectFilter, *, limit: int, after: Place | None = None
    ) -> tuple[Sequence[Subject], Place | None]:
        """Return a page of the project's subjects, newest first, and the place that the next page begins after.

        At most *limit*; fewer, or none, where few of many are wanted. None for the next page's says that this was the
        last.
        """
        selection = Selection(
            kind=Kind.SUBJECT, project=project, owner=None if wanted.kind is None else wanted.kind.value
        )
        rows = await self._store.scan(selection, limit=_LOOKED_AT, after=after)
        found: list[Subject] = []
        seen: Place | None = None
        for row in rows:
            if isinstance(row, Subject) and wanted.holds(row):
                if len(found) == limit:
                    return found, seen
                found.append(row)
            seen = Place.of(row)
        return found, seen if len(rows) == _LOOKED_AT else None

    async def change(
        self,
        project: ProjectId,
        subject: SubjectId,
        transition: Callable[[Subject], Subject],
        *,
        by: Initiator,
        what: EventType = EventType.SUBJECT_CHANGED,
        reason: str | None = None,
        at: Instant | None = None,
    ) -> Subject:
        """Replace the subject by what *transition* makes of it (a pure function; it may run more than once).

        *at* is the instant that the transition writes down, if it does: the event tells the same one.
        """

        async def attempt() -> Subject:
            now = self._clock.now() if at is None else at
            old = await self.require(project, subject)
            new = transition(old)
            await self._store.apply(
                Change.replacing(
                    old,
                    msgspec.structs.replace(new, version=old.version + 1),
                    _event(old, what, by, now, reason),
                )
            )
            return new

        return await self._contention.settle((project, subject), attempt)

    async def revoke_sessions(
        self, project: ProjectId, subject: SubjectId, *, reason: str = "revoked", by: Initiator
    ) -> None:
        """End all of a subject's sessions in one write; an unknown subject has none, which is no error."""
        if await self.get(project, subject) is None:
            return
        now, epoch = self._clock.now(), self._epoch()
        await self.change(
            project,
            subject,
            lambda old: old.with_epoch(epoch, now=now, reason=reason, by=by.label),
            by=by,
            what=EventType.SUBJECT_SESSIONS_REVOKED,
            reason=reason,
            at=now,
        )

    async def disable(self, project: ProjectId, subject: SubjectId, *, by: Initiator) -> Subject:
        """Disable the subject: all its sessions end at once and no new one is issued."""
        now, epoch = self._clock.now(), self._epoch()
        return await self.change(
            project,
            subject,
            lambda old: old.disabled(now=now, epoch=epoch, by=by.label),
            by=by,
            what=EventType.SUBJECT_DISABLED,
            at=now,
        )

    async def enable(self, project: ProjectId, subject: SubjectId, *, by: Initiator) -> Subject:
        """Enable the subject again; sessions that ended stay ended."""
        return await self.change(
            project, subject, lambda old: old.enabled(), by=by, what=EventType.SUBJECT_ENABLED
        )

    async def delete(self, project: ProjectId, subject: SubjectId, *, by: Initiator) -> None:
        """Delete the subject and its vault entries; its sessions are dead at once. Unknown: `NotFound`."""

        async def attempt() -> None:
            await self._store.apply(await self.deletion(await self.require(project, subject), by=by))

        await self._contention.settle((project, subject), attempt)

    async def deletion(self, subject: Subject, *, by: Initiator) -> Change:
        """Return the change that deletes the subject, and with it what the vault keeps for it."""
        change = Change(
            partition=subject.partition,
            expects={subject.key: subject.version},
            deletes=[subject.key],
            events=[_event(subject, EventType.SUBJECT_DELETED, by, self._clock.now())],
        )
        return await self._leaving.with_entries(change, subject, by=by)

    def _epoch(self) -> Epoch:
        return draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))


def _event(
    subject: Subject, what: EventType, by: Initiator, now: Instant, reason: str | None = None
) -> Event:
    return by.did(
        what,
        at=now,
        partition=subject.partition,
        project=subject.project,
        subject=subject.id,
        data={} if reason is None else {"reason": reason},
    )
