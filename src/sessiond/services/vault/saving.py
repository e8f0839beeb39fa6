"""Saving tokens: the cap and the retry are decided in the change that creates the entry."""

from __future__ import annotations

import msgspec

from sessiond.domain.callers import Caller, SubjectCaller
from sessiond.domain.errors import Forbidden
from sessiond.domain.events import EventType
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import Instant, later
from sessiond.domain.projects import Tally
from sessiond.domain.records import Key
from sessiond.domain.replays import Replay
from sessiond.domain.rules import VaultRules
from sessiond.domain.subjects import Subject, subject_key
from sessiond.domain.vault import (
    ENTRY_ENTROPY,
    EntryId,
    VaultEntry,
    cap_key,
    entry_key,
    mint_entry_id,
    require_future,
    stay_beside_one_more,
)
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.replays import Replays, Ticket
from sessiond.services.vault.access import reaches, told_of, within_reach
from sessiond.services.vault.answers import NewToken, Shown, as_saved
from sessiond.services.vault.boxes import VaultBoxes

_BITE = 100
_LATEST = "latest"

NOT_YOURS = Forbidden("not_your_user", "A user's session saves tokens for that user only.")


class Saving:
    """Keeps one more token for a user."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        boxes: VaultBoxes,
        *,
        contention: Contention,
        rules: VaultRules,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention
        self._rules = rules
        self._boxes = boxes
        self._replays = Replays(store, keys)

    async def save(self, caller: Caller, new: NewToken, *, idempotency_key: str | None = None) -> Shown:
        """Keep one more token for a user; at the cap the oldest goes, in the same change.

        With an *idempotency_key* a retry is answered as the first time, whatever became of the entry, unless it went
        with a former holder of the user's id. Raises `Forbidden` (`not_your_user`), `InvalidRequest`
        (`expires_at_past`, `idempotency_key_reused`).
        """
        if not reaches(caller, new.user):
            raise NOT_YOURS
        ticket = self._ticket(caller, new, idempotency_key) if idempotency_key is not None else None
        return await self._contention.settle(
            (caller.project, new.user), lambda: self._save(caller, new, ticket)
        )

    def _ticket(self, caller: Caller, new: NewToken, idempotency_key: str) -> Ticket:
        return self._replays.ticket(
            caller.project,
            self._keys.partition(caller.project, new.user),
            idempotency_key=idempotency_key,
            scope=caller.subject if isinstance(caller, SubjectCaller) else None,
            request=("vault", new.user, new.token.reveal(), new.expires_at),
        )

    async def _save(self, caller: Caller, new: NewToken, ticket: Ticket | None) -> Shown:
        now = self._clock.now()
        memory = await self._replays.recall(ticket, now) if ticket is not None else None
        born = None if memory is None else memory.first
        if born is not None and not await self._is_formers(born, new.user):
            return as_saved(new, str(born.created), born.created_at)
        require_future(new.expires_at, now)
        if ticket is not None and memory is not None:
            await self._replays.claim(ticket, memory, now)
        entry = self._sealed(caller, new, now)
        change = await self._room_for(caller, entry, now)
        if ticket is not None and memory is not None:
            change = self._replays.remembering(
                change, ticket, memory, subject=entry.user, created=entry.id, now=now
            )
        await self._store.apply(change)
        return as_saved(new, entry.id, now)

    async def _is_formers(self, first: Replay, user: SubjectId) -> bool:
        """Tell whether *first* saved for a former holder of the id, with whom the entry has gone."""
        key = subject_key(first.project, user, first.partition)
        subject, *entry = await self._store.get_many(
            [key, entry_key(first.project, EntryId(str(first.created)))]
        )
        later_born = isinstance(subject, Subject) and subject.created_at > first.created_at
        return later_born and entry == [None]

    def _sealed(self, caller: Caller, new: NewToken, now: Instant) -> VaultEntry:
        partition = self._keys.partition(caller.project, new.user)
        entry = mint_entry_id(partition, self._entropy.bytes(ENTRY_ENTROPY))
        return VaultEntry(
            id=entry,
            project=caller.project,
            user=new.user,
            boxes=self._boxes.sealed(caller.project, entry, new.user, 1, new.token),
            expires_at=new.expires_at,
            kept_until=later(new.expires_at, self._rules.retention),
            saved_at=now,
            created_at=now,
        )

    async def _room_for(self, caller: Caller, entry: VaultEntry, now: Instant) -> Change:
        """Return the change that saves *entry* and lets the oldest go.

        The guard is read before the entries are looked at and written with them, so that two creates cannot both
        find room.
        """
        guard = await self._guard(entry)
        selection = within_reach(caller, entry.user, self._keys)
        assert selection is not None  # noqa: S101  the caller reaches the user, or could not save for it
        going = [
            row
            for row in await self._store.scan(
                selection, limit=_BITE, offset=stay_beside_one_more(self._rules.max_per_user)
            )
            if isinstance(row, VaultEntry)
        ]
        events = [told_of(EventType.VAULT_SAVED, caller, entry, now)]
        events += [told_of(EventType.VAULT_DELETED, caller, row, now, successor=entry.id) for row in going]
        expects: dict[Key, int] = {entry.key: 0, guard.key: guard.version - 1}
        return Change(
            partition=entry.key.partition,
            expects=expects | {row.key: row.version for row in going},
            puts=[entry, guard],
            deletes=[row.key for row in going],
            events=events,
        )

    async def _guard(self, entry: VaultEntry) -> Tally:
        """Return the record that every create of this user replaces; it outlives the entries."""
        key = cap_key(entry.project, entry.user, entry.key.partition)
        born = Tally(project=key.project, partition=key.partition, name=key.id, version=0)
        found = await self._store.get(born.key)
        former = found if isinstance(found, Tally) else born
        latest = max(entry.kept_until, former.members.get(_LATEST, 0))
        return msgspec.structs.replace(former, members={_LATEST: latest}, version=former.version + 1)
