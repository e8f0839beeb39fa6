"""The vault: save, show, replace and delete the tokens that are kept for users.

A user's session reaches its own entries only; a server key, the operator and open public access those of the whole
project. A full token leaves only after the event that says so is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import Caller, SubjectCaller
from sessiond.domain.errors import Conflict, InvalidRequest, NotFound, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import Partition, SubjectId
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.instants import Instant, later
from sessiond.domain.records import Record
from sessiond.domain.rules import VaultRules
from sessiond.domain.vault import (
    ENTRY_UNKNOWN,
    VaultEntry,
    entry_key,
    is_valid,
    parse_entry_id,
    preview,
    require_future,
    seconds_remaining,
)
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.throttle import Allowance
from sessiond.services.vault.access import reaches, told, told_of, within_reach
from sessiond.services.vault.answers import NewToken, Opened, Page, Shown, Validity, as_shown
from sessiond.services.vault.boxes import VaultBoxes
from sessiond.services.vault.saving import Saving

_BITE = 100

NOTHING_VALID = NotFound("no_valid_token", "There is no valid token in secure storage.")
USER_IMMUTABLE = InvalidRequest("user_id_immutable", "The user_id of an entry never changes.")

T = TypeVar("T")


TOLD_AT_ONCE = 50
TOLD_PER_SECOND = 0.1


class Vault:
    """What can be asked of the vault and done to it.

    Every method raises `Unavailable` when the store or a key cannot be reached; a stored token that does not open is
    `vault_unreadable` and an event, never an empty value. Who acts in a user's place may list, and ask for validity:
    all else is `Forbidden` (`impersonated`).
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        contention: Contention,
        rules: VaultRules,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._contention = contention
        self._rules = rules
        self._boxes = VaultBoxes(keys, entropy)
        self._told_refusals = Allowance(clock, burst=TOLD_AT_ONCE, per_second=TOLD_PER_SECOND)
        self._saving = Saving(store, keys, clock, entropy, self._boxes, contention=contention, rules=rules)

    # -- reading ------------------------------------------------------------------------------------------------

    async def list_page(
        self, caller: Caller, *, user: SubjectId | None, valid: bool | None, page: int, limit: int
    ) -> Page:
        """Return the entries of one page, newest first, without their tokens; past the end there are none."""
        selection = within_reach(caller, user, self._keys)
        if selection is None:
            return Page()
        now = self._clock.now()
        if valid is not None:
            selection = msgspec.structs.replace(selection, expired_at=now, expired=not valid)
        total, offset = await self._store.count(selection), (page - 1) * limit
        rows = await self._store.scan(selection, limit=limit, offset=offset) if offset < total else ()
        shown = [await self._shown(caller, row, now) for row in rows if isinstance(row, VaultEntry)]
        return Page(entries=shown, total=total)

    async def read(self, caller: Caller, entry: str) -> Opened:
        """Return one entry with its token, or raise `NotFound` (`entry_unknown`)."""
        await self._refuse_actors(caller)

        async def attempt() -> Opened:
            return await self._hand_out(caller, await self._find(caller, entry), self._clock.now())

        return await self._contention.settle((caller.project, entry), attempt)

    async def current(self, caller: Caller, *, user: SubjectId | None) -> Opened:
        """Return the valid entry that was saved last, or raise `NotFound` (`no_valid_token`)."""
        await self._refuse_actors(caller)

        async def attempt() -> Opened:
            now = self._clock.now()
            entry = await self._newest(caller, user, valid_at=now)
            if entry is None:
                raise NOTHING_VALID
            return await self._hand_out(caller, entry, now)

        return await self._contention.settle((caller.project, user or "vault"), attempt)

    async def validity(self, caller: Caller, *, user: SubjectId | None) -> Validity:
        """Return how long the valid entry that was saved last still is; of none valid, when the newest ended."""
        now = self._clock.now()
        entry = await self._newest(caller, user, valid_at=now) or await self._newest(caller, user)
        if entry is None:
            return Validity()
        return Validity(
            valid=is_valid(entry.expires_at, now),
            expires_at=entry.expires_at,
            seconds_remaining=seconds_remaining(entry.expires_at, now),
        )

    async def _newest(
        self, caller: Caller, user: SubjectId | None, *, valid_at: Instant | None = None
    ) -> VaultEntry | None:
        selection = within_reach(caller, user, self._keys)
        if selection is None:
            return None
        selection = msgspec.structs.replace(selection, expired_at=valid_at, expired=False)
        rows = await self._store.scan(selection, limit=1)
        return next((row for row in rows if isinstance(row, VaultEntry)), None)

    async def _find(self, caller: Caller, text: str) -> VaultEntry:
        """Return the entry, or write the attempt down and refuse: absent and another's look the same.

        A caller that tries without end is written down now and then only, so that it cannot fill the disk.
        """
        entry = parse_entry_id(text)
        if entry is None:
            raise ENTRY_UNKNOWN
        key = entry_key(caller.project, entry)
        found = await self._store.get(key)
        if isinstance(found, VaultEntry) and reaches(caller, found.user):
            return found
        await self._tell_refused(caller, key.partition, {"entry": entry})
        raise ENTRY_UNKNOWN

    async def _refuse_actors(self, caller: Caller) -> None:
        """Refuse who acts in the user's place, and write the attempt down."""
        if isinstance(caller, SubjectCaller) and caller.standing.session.actor is not None:
            partition = caller.standing.session.key.partition
            await self._tell_refused(caller, partition, {"reason": IMPERSONATED.code})
            raise IMPERSONATED

    async def _tell_refused(
        self, caller: Caller, partition: Partition, data: Mapping[str, str | int | None]
    ) -> None:
        if not self._told_refusals.allows(f"{caller.project}|{caller.label}"):
            return
        user = caller.subject if isinstance(caller, SubjectCaller) else None
        now = self._clock.now()
        event = told(EventType.VAULT_REFUSED, caller, partition, now, user=user, data=data)
        await self._store.apply(Change.telling(event))

    async def _hand_out(self, caller: Caller, entry: VaultEntry, now: Instant) -> Opened:
        token = await self._opened(caller, entry, self._boxes.token)
        event = told_of(EventType.VAULT_READ, caller, entry, now)
        await self._store.apply(
            Change(partition=entry.key.partition, expects={entry.key: entry.version}, events=[event])
        )
        return Opened(
            id=entry.id,
            user=entry.user,
            token=token,
            expires_at=entry.expires_at,
            valid=is_valid(entry.expires_at, now),
            saved_at=entry.saved_at,
        )

    async def _shown(self, caller: Caller, entry: VaultEntry, now: Instant) -> Shown:
        return as_shown(entry, await self._opened(caller, entry, self._boxes.preview), now)

    async def _opened(self, caller: Caller, entry: VaultEntry, opening: Callable[[VaultEntry], T]) -> T:
        try:
            return opening(entry)
        except Unavailable as refusal:
            event = told_of(EventType.VAULT_UNREADABLE, caller, entry, self._clock.now(), reason=refusal.code)
            await self._store.apply(Change.telling(event))
            raise

    # -- writing ------------------------------------------------------------------------------------------------

    async def save(self, caller: Caller, new: NewToken, *, idempotency_key: str | None = None) -> Shown:
        """Keep one more token for a user; see `Saving.save`."""
        await self._refuse_actors(caller)
        return await self._saving.save(caller, new, idempotency_key=idempotency_key)

    async def replace(
        self, caller: Caller, entry: str, token: Secret, expires_at: Instant, *, user: str | None = None
    ) -> Shown:
        """Replace an entry's token, also an expired one's; *user* may only be the one it has.

        Raises `NotFound` (`entry_unknown`), `InvalidRequest` (`user_id_immutable`, `expires_at_past`).
        """
        await self._refuse_actors(caller)

        async def attempt() -> Shown:
            old, now = await self._find(caller, entry), self._clock.now()
            if user not in {None, old.user}:
                raise USER_IMMUTABLE
            require_future(expires_at, now)
            version = old.version + 1
            new = msgspec.structs.replace(
                old,
                boxes=self._boxes.sealed(old.project, old.id, old.user, version, token),
                expires_at=expires_at,
                kept_until=later(expires_at, self._rules.retention),
                saved_at=now,
                version=version,
            )
            await self._replace([old], [new], told_of(EventType.VAULT_CHANGED, caller, new, now))
            return as_shown(new, preview(token.reveal()), now)

        return await self._contention.settle((caller.project, entry), attempt)

    async def delete(self, caller: Caller, entry: str) -> None:
        """Delete one entry, or raise `NotFound` (`entry_unknown`)."""
        await self._refuse_actors(caller)

        async def attempt() -> None:
            old = await self._find(caller, entry)
            event = told_of(EventType.VAULT_DELETED, caller, old, self._clock.now())
            await self._replace([old], [], event)

        await self._contention.settle((caller.project, entry), attempt)

    async def clear(self, caller: Caller, *, user: SubjectId | None) -> None:
        """Delete all entries of *user* that the caller reaches, of everybody for None, until none is left."""
        await self._refuse_actors(caller)
        selection = within_reach(caller, user, self._keys)
        if selection is None:
            return
        while rows := await self._store.scan(selection, limit=_BITE):
            mine: dict[tuple[int, SubjectId], list[VaultEntry]] = {}
            for row in rows:
                if isinstance(row, VaultEntry):
                    mine.setdefault((row.key.partition, row.user), []).append(row)
            await asyncio.gather(*(self._clear(caller, its) for its in mine.values()))

    async def _clear(self, caller: Caller, entries: Sequence[VaultEntry]) -> None:
        """Delete entries of one user; if somebody wrote first, the next look finds what is left."""
        first = entries[0]
        event = told(
            EventType.VAULT_CLEARED,
            caller,
            first.key.partition,
            self._clock.now(),
            user=first.user,
            data={"count": len(entries)},
        )
        try:
            await self._replace(entries, [], event)
        except Conflict:
            return

    async def _replace(self, old: Sequence[VaultEntry], new: Sequence[Record], event: Event) -> None:
        await self._store.apply(
            Change(
                partition=event.partition,
                expects={entry.key: entry.version for entry in old},
                puts=new,
                deletes=[] if new else [entry.key for entry in old],
                events=[event],
            )
        )
