"""Erasing a subject (GDPR, article 17): all that is kept of it goes, and the audit keeps a pseudonym.

It is many changes, in several partitions. They are in an order in which each can be found again as long as it is not
done, so that the same call goes on after a crash anywhere: the subject is closed first, which ends its sessions at
once; then others forget it; then the events do, as long as its sessions still say which of them are its own; then
everything goes that belongs to it, its own record last. What was written meanwhile by calls that had begun before is
looked for once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.domain.audit_chain import with_proof
from sessiond.domain.erasing import without_actor
from sessiond.domain.events import EventType, forgotten
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.pins import pin_key
from sessiond.domain.records import Key, Record
from sessiond.domain.subjects import check_not_operator, subject_key
from sessiond.domain.vault import cap_key
from sessiond.services.audit_chains import proof_of
from sessiond.services.belongings import Belongings, Told
from sessiond.services.contention import Contention
from sessiond.services.devices import Devices
from sessiond.services.keys import Keys
from sessiond.services.pin_attempts import PinAttempts
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.subjects import Subjects

_BITE = 100
_ERASED = "erased"


class Erasing:
    """Erases subjects."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        *,
        belongings: Belongings,
        subjects: Subjects,
        devices: Devices,
        attempts: PinAttempts,
        contention: Contention,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._belongings = belongings
        self._subjects = subjects
        self._devices = devices
        self._attempts = attempts
        self._contention = contention

    def pseudonym(self, project: ProjectId, subject: SubjectId) -> SubjectId:
        """Return what the audit calls an erased subject: a keyed hash, the same for the same id."""
        digest = self._keys.lookup(Purpose.LOOKUP_PSEUDONYM, subject, project)
        return SubjectId(f"{_ERASED}_{digest.hex()}")

    async def erase(self, project: ProjectId, subject: SubjectId, *, by: Initiator) -> None:
        """Erase the subject; one that is unknown is no error. A later one of the same id is another.

        Raises `Forbidden` (`subject_reserved`) for the operator.
        """
        check_not_operator(project, subject)
        if await self._belongings.subject(project, subject) is not None:
            await self._subjects.disable(project, subject, by=by)
        began = await self._store.newest_event()
        sessions = await self._belongings.sessions(project, subject)
        own = frozenset(session.id for session in sessions)
        pseudonym = self.pseudonym(project, subject)
        told = await self._belongings.told(project, subject, own=own, also=pseudonym)
        await self._loosen(project, subject, told)
        networks = {session.client.address for session in sessions} | {
            str(event.data["address"]) for _, event in told.events if event.data.get("address") is not None
        }
        await self._devices.forget(project, subject, [each for each in networks if each is not None])
        await self._rewrite(told, subject, pseudonym)
        await self._delete(project, subject)
        await self._delete_subject(project, subject, pseudonym, by=by)
        await self._delete(project, subject)
        late = await self._belongings.told(project, subject, own=told.sessions, also=pseudonym, after=began)
        await self._rewrite(late, subject, pseudonym)

    # -- what others have -------------------------------------------------------------------------------------------

    async def _loosen(self, project: ProjectId, subject: SubjectId, told: Told) -> None:
        """Have the records of others forget it: who was linked to it, whose session it acts in or went on in."""
        pseudonym = self.pseudonym(project, subject)

        async def linked() -> Sequence[Record]:
            return [each.unlinked() for each in await self._belongings.linked(project, subject)]

        async def continued() -> Sequence[Record]:
            found = await self._belongings.continued(project, subject, told)
            return [
                msgspec.structs.replace(each, linked_from=None, version=each.version + 1) for each in found
            ]

        async def acted() -> Sequence[Record]:
            found = await self._belongings.acted(project, subject, told)
            return [without_actor(each, subject, pseudonym) for each in found]

        for find in (linked, continued, acted):
            await self._contention.settle((project, f"erase|{subject}"), partial(self._put, find))

    async def _put(self, find: Callable[[], Awaitable[Sequence[Record]]]) -> None:
        """Write each of what *find* says; raises `Conflict` if somebody wrote first: then it is to be found again."""
        for record in await find():
            await self._store.apply(
                Change(
                    partition=record.key.partition, expects={record.key: record.version - 1}, puts=[record]
                )
            )

    async def _rewrite(self, told: Told, subject: SubjectId, pseudonym: SubjectId) -> None:
        rewritten = []
        for number, event in told.events:
            bare = forgotten(event, subject, pseudonym, told.sessions)
            proof = proof_of(self._keys, event.project)
            rewritten.append((number, event if bare == event else with_proof(number, bare, proof)))
        for start in range(0, len(rewritten), _BITE):
            await self._store.rewrite_events(rewritten[start : start + _BITE])

    # -- what is its own --------------------------------------------------------------------------------------------

    async def _delete(self, project: ProjectId, subject: SubjectId) -> None:
        """Delete all that belongs to it but its own record; nothing of it is an event, which would name it again."""
        belongings, partition = self._belongings, self._keys.partition(project, subject)
        for find in (belongings.sessions, belongings.entries, belongings.replays):
            while rows := await find(project, subject):
                await self._remove([row.key for row in rows])
        await self._remove([cap_key(project, subject, partition), pin_key(project, subject, partition)])
        await self._attempts.forget(project, subject)

    async def _remove(self, keys: Sequence[Key]) -> None:
        """Delete what is there of *keys*, all of one partition."""
        for start in range(0, len(keys), _BITE):
            bite = keys[start : start + _BITE]
            await self._contention.settle((bite[0].project, bite[0].id.hex()), partial(self._drop, bite))

    async def _drop(self, keys: Sequence[Key]) -> None:
        rows = [row for row in await self._store.get_many(keys) if row is not None]
        if rows:
            await self._store.apply(
                Change(
                    partition=keys[0].partition,
                    expects={row.key: row.version for row in rows},
                    deletes=[row.key for row in rows],
                )
            )

    async def _delete_subject(
        self, project: ProjectId, subject: SubjectId, pseudonym: SubjectId, *, by: Initiator
    ) -> None:
        """Delete its own record, and write down under the pseudonym that it was erased."""
        key = subject_key(project, subject, self._keys.partition(project, subject))

        async def attempt() -> None:
            found = await self._store.get(key)
            if found is None:
                return
            event = by.did(
                EventType.SUBJECT_ERASED,
                at=self._clock.now(),
                partition=key.partition,
                project=project,
                subject=pseudonym,
            )
            await self._store.apply(
                Change(partition=key.partition, expects={key: found.version}, deletes=[key], events=[event])
            )

        await self._contention.settle((project, subject), attempt)
