"""Leaving: what the vault keeps for a subject goes with the subject's record, so that no namesake finds it."""

from __future__ import annotations

import msgspec

from sessiond.domain.events import EventType
from sessiond.domain.initiators import Initiator
from sessiond.domain.projects import Tally
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.subjects import Subject
from sessiond.domain.vault import VaultEntry, cap_key
from sessiond.services.ports import Change, Clock, Selection, Store

_BITE = 100


class Leaving:
    """Adds a subject's vault entries to the change that deletes the subject."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def with_entries(self, deletion: Change, subject: Subject, *, by: Initiator) -> Change:
        """Return *deletion* with the entries of *subject*; of many, the newest have gone before it already.

        The guard of the cap is read before the entries are looked at and deleted with them, so that an entry that is
        saved meanwhile conflicts.
        """
        key = cap_key(subject.project, subject.id, subject.partition)
        guard = await self._store.get(key)
        expects: dict[Key, int] = {key: guard.version if isinstance(guard, Tally) else 0}
        going = await self._newest(subject)
        while len(going) > _BITE:
            await self._store.apply(self._without(subject, going[:_BITE], by=by))
            going = await self._newest(subject)
        last = self._without(subject, going, by=by)
        return msgspec.structs.replace(
            deletion,
            expects={**deletion.expects, **last.expects, **expects},
            deletes=[*deletion.deletes, *last.deletes, *([key] if isinstance(guard, Tally) else [])],
            events=[*last.events, *deletion.events],
        )

    async def _newest(self, subject: Subject) -> list[Record]:
        selection = Selection(
            kind=Kind.VAULT_ENTRY, project=subject.project, owner=subject.id, partition=subject.partition
        )
        rows = await self._store.scan(selection, limit=_BITE + 1)
        return [row for row in rows if isinstance(row, VaultEntry)]

    def _without(self, subject: Subject, entries: list[Record], *, by: Initiator) -> Change:
        event = by.did(
            EventType.VAULT_CLEARED,
            at=self._clock.now(),
            partition=subject.partition,
            project=subject.project,
            subject=subject.id,
            data={"count": len(entries)},
        )
        return Change(
            partition=subject.partition,
            expects={entry.key: entry.version for entry in entries},
            deletes=[entry.key for entry in entries],
            events=[event] if entries else [],
        )
