"""What becomes of retired keys, in small bites: vault entries are sealed anew, and what nothing names is destroyed.

Of a root that is refused the sessions are ended: nobody can use them, and lists shall say so.

A row can only cease to name a key that mints no more, never begin to. So a walk over the rows that goes on where it
stopped proves, once it has come to the end, that none is left, however long it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.initiators import SESSIOND
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.key_use import names_any, overdue, settled
from sessiond.domain.keys import SETTLED_AFTER, DataKey, HeldKey, KeyState, RootKey
from sessiond.domain.pins import Pin
from sessiond.domain.records import Kind, Record
from sessiond.domain.rules import PinRules
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session
from sessiond.domain.vault import VaultEntry
from sessiond.services.key_use import KeyUse, pages
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Place, Revocation, Selection, Store
from sessiond.services.ring_writing import RingWriting
from sessiond.services.vault.boxes import VaultBoxes

KEY_COMPROMISED = "key_compromised"
"""Why a session ended whose root is refused."""

_LAST_ID = b"\xff" * 16
_LOOKED_AFTER = frozenset({KeyState.RETIRED, KeyState.COMPROMISED})


class _Walk(msgspec.Struct):
    """How far the rows of one kind were looked at for one key; *done* when none was left.

    *held* tells that a row was passed that keeps the key.
    """

    selection: Selection
    begin: Place | None
    after: Place | None
    held: bool = False
    done: bool = False


class KeyKeeping:
    """The work on retired keys of one process; another process walks for itself."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        writing: RingWriting,
        rules: PinRules,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._writing = writing
        self._use = KeyUse(store)
        self._boxes = VaultBoxes(keys, entropy)
        self._known_client_ms = millis(rules.known_client_for)
        self._walks: dict[tuple[str, KeyState, Kind], _Walk] = {}

    async def bite(self, *, limit: int) -> bool:
        """Look at no more than *limit* rows for each retired or refused key; tell whether more rows wait.

        Keys that nothing needs are destroyed in the end.
        """
        now, more, unneeded = self._clock.now(), False, set[str]()
        for key in self._keys.ring.held():
            if isinstance(key, RootKey) and key.state is KeyState.COMPROMISED:
                walk = self._walk(key, Kind.SESSION, None)
                more = await self._end_refused(key, walk, now, limit) or more
                if not walk.done:
                    continue
            if overdue(key, now):
                unneeded.add(key.name)
                continue
            if key.state is not KeyState.RETIRED:
                continue
            walks = self._walks_of(key, now)
            for walk in walks:
                more = await self._step(key, walk, now, limit) or more
            if walks and all(walk.done for walk in walks) and settled(key, now):
                unneeded.add(key.name)
        await self._destroy(unneeded)
        self._forget_walks()
        return more

    async def reseal(self, progress: Callable[[int, int], None]) -> tuple[int, int]:
        """Seal every vault entry under its project's active key, page by page; what is done already is passed over.

        *progress* is told after each page how many were sealed anew and how many do not open; so is the caller.
        """
        done, unreadable = 0, 0
        for key in self._keys.ring.held():
            if not isinstance(key, DataKey) or key.state is not KeyState.RETIRED:
                continue
            async for page in pages(self._store, Selection(kind=Kind.VAULT_ENTRY, project=key.project)):
                for row in page:
                    if isinstance(row, VaultEntry) and row.boxes.key_id == key.id:
                        sealed = await self._sealed_anew(row)
                        done, unreadable = done + sealed, unreadable + (not sealed)
                progress(done, unreadable)
        return done, unreadable

    async def _end_refused(self, key: RootKey, walk: _Walk, now: Instant, limit: int) -> bool:
        """End the living sessions among the next *limit* whose tokens are under *key*; tell whether more rows wait."""
        if walk.done:
            return False
        page = await self._store.scan(walk.selection, limit=limit, after=walk.after)
        named = [row for row in page if isinstance(row, Session) and row.kid == key.kid]
        living = [row for row in named if await self._use.is_alive(row, now)]
        await self._store.revoke([_refusal(row, now) for row in living])
        walk.after = Place.of(page[-1]) if page else walk.after
        walk.done = len(page) < limit
        return not walk.done

    def _walks_of(self, key: HeldKey, now: Instant) -> Sequence[_Walk]:
        """Return the walks that prove that nothing names *key*; none while it is too early to prove it."""
        if isinstance(key, DataKey):
            return [self._walk(key, Kind.VAULT_ENTRY, None)]
        if not isinstance(key, RootKey) or not settled(key, now):
            return ()
        retired_at = key.retired_at or now
        if now < retired_at + self._known_client_ms:
            return ()  # known clients carry its MAC, and no row tells of them
        born_before = Place(later(retired_at, SETTLED_AFTER), _LAST_ID)
        return [self._walk(key, Kind.SESSION, born_before), self._walk(key, Kind.PIN, None)]

    def _walk(self, key: HeldKey, kind: Kind, after: Place | None) -> _Walk:
        selection = Selection(kind=kind, project=key.project)
        return self._walks.setdefault((key.name, key.state, kind), _Walk(selection, after, after))

    async def _step(self, key: HeldKey, walk: _Walk, now: Instant, limit: int) -> bool:
        """Go on until a live session names *key*, the rows end, or *limit* is reached; the next step begins there.

        Tell whether it makes sense to go on at once.
        """
        if walk.done:
            return False
        page = await self._store.scan(walk.selection, limit=limit, after=walk.after)
        for row in page:
            if await self._is_named(key, row, now):
                if isinstance(row, Session):
                    return False
                walk.held = True
            walk.after = Place.of(row)
        if len(page) < limit:
            # Before it is settled, a node with the former ring may have sealed one more behind us.
            walk.done = not walk.held and settled(key, now)
            walk.after, walk.held = walk.begin, False
        return len(page) == limit

    async def _is_named(self, key: HeldKey, row: Record, now: Instant) -> bool:
        match row:
            case Session():
                return names_any(row, {int(key.name)}) and await self._use.is_alive(row, now)
            case Pin():
                return str(row.kid) == key.name
            case VaultEntry():
                return row.boxes.key_id == key.name and not await self._sealed_anew(row)
            case _:
                return False

    async def _sealed_anew(self, entry: VaultEntry) -> bool:
        """Seal the entry under the active key; tell whether it is no longer under the former one.

        One that does not open stays as it is, and keeps its key: nobody is helped if both are gone.
        """
        version = entry.version + 1
        try:
            token = self._boxes.token(entry)
            boxes = self._boxes.sealed(entry.project, entry.id, entry.user, version, token)
            renewed = msgspec.structs.replace(entry, boxes=boxes, version=version)
            await self._store.apply(Change.replacing(entry, renewed))
        except (Conflict, Unavailable):
            found = await self._store.get(entry.key)
            return not isinstance(found, VaultEntry) or found.boxes.key_id != entry.boxes.key_id
        return True

    async def _destroy(self, names: set[str]) -> None:
        if not names:
            return
        facts = {"destroyed": ", ".join(sorted(names))}
        await self._writing.change(lambda ring, now: ring.without(names, now), by=SESSIOND, facts=facts)

    def _forget_walks(self) -> None:
        """Drop what is known about keys of another state than they have now, by this process or another."""
        kept = {(key.name, key.state) for key in self._keys.ring.held() if key.state in _LOOKED_AFTER}
        self._walks = {key: walk for key, walk in self._walks.items() if key[:2] in kept}


def _refusal(session: Session, now: Instant) -> Revocation:
    event = session_event(session, EventType.SESSION_REVOKED, by=SESSIOND, now=now, reason=KEY_COMPROMISED)
    return Revocation(
        project=session.project, session=session.id, reason=KEY_COMPROMISED, at=now, event=event
    )
