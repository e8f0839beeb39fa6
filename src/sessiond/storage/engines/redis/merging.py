"""Merging: the first of what lies sorted in many places, fetched from each only as far as it is needed."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Source = TypeVar("Source")

MOST_AT_ONCE = 1000


class _Cursor(Generic[Source, Item]):
    """How far one place was read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.last: Item | None = None
        self.buffer: list[Item] = []
        self.is_exhausted = False


Fetch = Callable[[Sequence[tuple[Source, Item | None]], int], Awaitable[Sequence[Sequence[Item]]]]
"""Fetches from each source at most so many items that follow the one that is given, all in one round."""


async def merged(
    sources: Sequence[Source],
    fetch: Fetch[Source, Item],
    *,
    expected: int,
    order: Callable[[Item], object],
) -> AsyncIterator[Item]:
    """Yield the items of all *sources* in their *order*, lowest first; about *expected* will be taken."""
    portion = min(MOST_AT_ONCE, 1 + 2 * expected // max(1, len(sources)))
    cursors: list[_Cursor[Source, Item]] = [_Cursor(source) for source in sources]
    await _fill(cursors, fetch, portion)
    heap = [(order(cursor.buffer[0]), n) for n, cursor in enumerate(cursors) if cursor.buffer]
    heapq.heapify(heap)
    while heap:
        _, n = heap[0]
        cursor = cursors[n]
        if len(heap) > 1:
            yield cursor.buffer.pop(0)
        else:  # it is compared with none
            for item in cursor.buffer:
                yield item
            cursor.buffer = []
        if not cursor.buffer and not cursor.is_exhausted:
            portion = min(MOST_AT_ONCE, 2 * portion)
            await _fill([cursor], fetch, portion)
        if cursor.buffer:
            heapq.heapreplace(heap, (order(cursor.buffer[0]), n))
        else:
            heapq.heappop(heap)


async def _fill(cursors: Sequence[_Cursor[Source, Item]], fetch: Fetch[Source, Item], portion: int) -> None:
    found = await fetch([(cursor.source, cursor.last) for cursor in cursors], portion)
    for cursor, items in zip(cursors, found, strict=True):
        cursor.buffer = list(items)
        cursor.is_exhausted = len(items) < portion
        if items:
            cursor.last = items[-1]
