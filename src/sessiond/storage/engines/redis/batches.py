"""A batch in flight for each server, whatever another server does."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Generic

from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import AnyOperation, Batcher, Outcome
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.nodes import Nodes

Done = Callable[[Sequence[Outcome]], None]


class Batches(Generic[AnyOperation]):
    """Collects operations for each server; *run* carries a batch there, and tells an outcome for each of them."""

    def __init__(
        self,
        nodes: Nodes,
        run: Callable[[Address, Sequence[AnyOperation], Done], None],
        counts: BatchCounts,
    ) -> None:
        self._nodes = nodes
        self._run = run
        self._counts = counts
        self._batchers: dict[Address, Batcher[AnyOperation]] = {}
        self._closed = False

    def submit(self, slot: int, operation: AnyOperation) -> asyncio.Future[object]:
        """Accept *operation* for the next batch of the server that has *slot*. Raises `Unavailable`."""
        if self._closed:
            raise unavailable("it was closed")
        address = self._nodes.address_of(slot)
        batcher = self._batchers.get(address)
        if batcher is None:
            run = functools.partial(self._run, address)
            batcher = self._batchers[address] = Batcher(run, self._counts)
        return batcher.submit(operation)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        self._closed = True
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))
