"""Counting what depends on keys: what a change of the ring would refuse, told before it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence

import msgspec

from sessiond.domain.endings import ending
from sessiond.domain.ids import ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.key_use import Lost, names_any, signed_for
from sessiond.domain.pins import Pin
from sessiond.domain.records import Kind, Record
from sessiond.domain.sessions import Session
from sessiond.domain.vault import VaultEntry
from sessiond.services.ports import Place, Selection, Store

_PAGE = 200
MOST_LOOKED_AT = 10_000
"""How many records of a kind are looked at, at most, before a change."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would refuse, of the newest records of a project.

    *sessions* must sign in again, *access_tokens* are of sessions that only have to refresh, *pins* must be set
    anew, *vault_entries* cannot be opened. *complete* tells whether every record was looked at.
    """

    sessions: int = 0
    access_tokens: int = 0
    pins: int = 0
    vault_entries: int = 0
    complete: bool = True


async def pages(
    store: Store, selection: Selection, *, after: Place | None = None
) -> AsyncIterator[Sequence[Record]]:
    """Yield the records of *selection* by pages, the newest first, from *after* on."""
    while page := await store.scan(selection, limit=_PAGE, after=after):
        yield page
        after = Place.of(page[-1])


class KeyUse:
    """Looks for what depends on keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def refused(self, project: ProjectId, lost: Lost, now: Instant) -> Refused:
        """Return what is refused in *project* once the keys *lost* are."""
        living = Selection(kind=Kind.SESSION, project=project, expired_at=now, expired=False)
        pinned = Selection(kind=Kind.PIN, project=project)
        sealed = Selection(kind=Kind.VAULT_ENTRY, project=project)
        sessions, every_session = await self._looked_at(living, lost.roots or lost.signed_for)
        pins, every_pin = await self._looked_at(pinned, lost.roots)
        entries, every_entry = await self._looked_at(sealed, lost.vault)
        held = [row for row in sessions if isinstance(row, Session)]
        gone = [row for row in held if names_any(row, lost.roots)]
        signed = [row for row in held if row not in gone and signed_for(row) & lost.signed_for]
        return Refused(
            sessions=await self._living(gone, now),
            access_tokens=await self._living(signed, now),
            pins=_count(pins, lambda row: isinstance(row, Pin) and row.kid in lost.roots),
            vault_entries=_count(
                entries, lambda row: isinstance(row, VaultEntry) and row.boxes.key_id in lost.vault
            ),
            complete=every_session and every_pin and every_entry,
        )

    async def is_alive(self, session: Session, now: Instant) -> bool:
        """Tell whether the session lives, by all that its life depends on."""
        standing = await self._store.find_session(session.project, session.id)
        return standing is not None and ending(standing, now) is None

    async def _living(self, sessions: Sequence[Session], now: Instant) -> int:
        alive = 0
        for start in range(0, len(sessions), _PAGE):
            bite = sessions[start : start + _PAGE]
            alive += sum(await asyncio.gather(*(self.is_alive(each, now) for each in bite)))
        return alive

    async def _looked_at(
        self, selection: Selection, lost: Collection[object]
    ) -> tuple[Sequence[Record], bool]:
        """Return the newest records, and whether these are all that can depend on what is *lost*."""
        rows: list[Record] = []
        if not lost:
            return rows, True
        async for page in pages(self._store, selection):
            rows += page
            if len(rows) >= MOST_LOOKED_AT:
                return rows, False
        return rows, True


def _count(rows: Sequence[Record], matches: Callable[[Record], bool]) -> int:
    return sum(1 for row in rows if matches(row))
