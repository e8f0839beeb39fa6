"""Stores to which something happens while everything is moved from or to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sessiond.domain.errors import Unavailable
from sessiond.domain.events import Event
from sessiond.domain.records import Key, Record
from sessiond.services.movable import MovableStore, Stretch
from sessiond.services.moving import Mover
from sessiond.services.ports import Change
from tests.deployment import SetClock


class Around:
    """Another store, but for what a subclass says."""

    def __init__(self, store: MovableStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store has
        return getattr(self._store, name)


class MeetsTwice(Around):
    """A source that is written to while it is walked through: a record changes its place, and is met again."""

    def __init__(self, store: MovableStore, again: Record) -> None:
        super().__init__(store)
        self._again = again

    async def walk(self, place: str, *, limit: int) -> Stretch:
        stretch = await self._store.walk(place, limit=limit)
        return msgspec.structs.replace(stretch, records=[*stretch.records, self._again])


class OncePerKey(Around):
    """A target that writes no record twice in one change, as most engines."""

    async def apply(self, change: Change) -> None:
        assert len({record.key for record in change.puts}) == len(change.puts)
        await self._store.apply(change)


class BrokenAt(Around):
    """A target that cannot be opened: what it is told of the newest event it refuses."""

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        if newest:
            raise Unavailable("store_unavailable", "The store cannot answer now.")
        await self._store.adopt_events(told, newest=newest)


class StaysMeanwhile(Around):
    """A target that is about to be opened when somebody else decides to stay."""

    def __init__(self, source: MovableStore, target: MovableStore) -> None:
        self._source = source
        super().__init__(target)

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        if newest:
            await Mover(self._source, self._store, SetClock(), lambda _: None).stay()
        await self._store.adopt_events(told, newest=newest)


class CountingStops(Around):
    """A target whose user is killed once so many records were asked for."""

    def __init__(self, store: MovableStore, *, after: int) -> None:
        super().__init__(store)
        self._left = after

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        self._left -= len(keys)
        if self._left < 0:
            raise KeyboardInterrupt
        return await self._store.get_many(keys)


class Meddling(Around):
    """A target into which somebody else puts whatever was just found missing."""

    async def apply(self, change: Change) -> None:
        await self._store.apply(change)
        await self._store.apply(change)
