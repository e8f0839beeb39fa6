"""A batch in flight for each server, whatever another server does; each is a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic

from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import AnyOperation, Batcher, Outcome
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.nodes import Nodes


class Batches(Generic[AnyOperation]):
    """Collects operations for each server; *run* answers a batch with an outcome for each of its operations."""

    def __init__(
        self,
        nodes: Nodes,
        run: Callable[[Sequence[AnyOperation]], Awaitable[Sequence[Outcome]]],
        counts: BatchCounts,
    ) -> None:
        self._nodes = nodes
        self._run = run
        self._counts = counts
        self._batchers: dict[Address, Batcher[AnyOperation]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(self, slot: int, operation: AnyOperation) -> asyncio.Future[object]:
        """Accept *operation* for the next batch of the server that has *slot*. Raises `Unavailable`."""
        if self._closed:
            raise unavailable("it was closed")
        address = self._nodes.address_of(slot)
        batcher = self._batchers.get(address)
        if batcher is None:
            batcher = self._batchers[address] = Batcher(self._start, self._counts)
        return batcher.submit(operation)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        self._closed = True
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))

    def _start(self, operations: Sequence[AnyOperation], done: Callable[[Sequence[Outcome]], None]) -> None:
        task = asyncio.create_task(self._settle(operations, done))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _settle(
        self, operations: Sequence[AnyOperation], done: Callable[[Sequence[Outcome]], None]
    ) -> None:
        try:
            outcomes = await self._run(operations)
        except BaseException as error:  # noqa: BLE001  each waiter must hear of it
            outcomes = [error if isinstance(error, Exception) else unavailable("it was closed")] * len(
                operations
            )
        done(outcomes)


async def answers_of(waiters: Iterable[asyncio.Future[object]]) -> list[object]:
    """Return what each of *waiters* came to, in order; with the first that fails the others are given up."""
    begun: list[asyncio.Future[object]] = []
    try:
        begun.extend(waiters)
        for waiter in begun:
            await waiter
        return [waiter.result() for waiter in begun]
    finally:
        for waiter in begun:
            waiter.cancel()
