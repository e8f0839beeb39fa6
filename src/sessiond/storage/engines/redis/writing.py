"""Writing: operations become one script call for each partition, in batches of their own for each server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import Partition
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Batcher, Outcome
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.calls import Call, Caller, script_call, while_moving
from sessiond.storage.engines.redis.directory import Directory, Entry
from sessiond.storage.engines.redis.feed import Feed
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.operations import Argument, Operation, SessionKeys

_Done = Callable[[Sequence[Outcome]], None]


class Writing:
    """Accepts operations; each server has a batch in flight, whatever another one does."""

    def __init__(
        self, layout: Layout, nodes: Nodes, caller: Caller, directory: Directory, feed: Feed | None = None
    ) -> None:
        self._feed = feed
        self._layout = layout
        self._nodes = nodes
        self._caller = caller
        self._directory = directory
        self.counts = BatchCounts()
        self._batchers: dict[Address, Batcher[Operation]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False
        self.newest = 0
        """The highest sequence of an event that was acknowledged here."""

    async def write(self, operation: Operation) -> object:
        """Do *operation* in its server's next batch, again and again while its partition is being moved."""
        return await while_moving(lambda: self._submit(operation))

    def _submit(self, operation: Operation) -> asyncio.Future[object]:
        if self._closed:
            raise unavailable("it was closed")
        address = self._nodes.address_of(self._layout[operation.partition].slot)
        batcher = self._batchers.get(address)
        if batcher is None:
            batcher = self._batchers[address] = Batcher(self._start, self.counts)
        return batcher.submit(operation)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        self._closed = True
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))

    def _start(self, operations: Sequence[Operation], done: _Done) -> None:
        task = asyncio.create_task(self._run(operations, done))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, operations: Sequence[Operation], done: _Done) -> None:
        try:
            outcomes = await self._write(operations)
        except BaseException as error:  # noqa: BLE001  each waiter must hear of it
            outcomes = [error if isinstance(error, Exception) else unavailable("it was closed")] * len(
                operations
            )
        if self._feed is not None:
            # Before any caller hears of it; also for those that failed, as they may have been written.
            self._feed.changed(key for operation in operations for key in operation.changes)
        done(outcomes)

    async def _write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        missing = self._directory.missing(_entries(operations))
        if missing:
            await self._directory.enter(missing)
        together: dict[Partition, list[int]] = {}
        for n, operation in enumerate(operations):
            together.setdefault(operation.partition, []).append(n)
        calls = [
            self._call(partition, [operations[n] for n in members]) for partition, members in together.items()
        ]
        outcomes: list[Outcome] = [None] * len(operations)
        answers = await self._caller.call(calls, Lane.WRITE, patient=False)
        for members, answer in zip(together.values(), answers, strict=True):
            if isinstance(answer, Unavailable):
                for n in members:
                    outcomes[n] = answer
                continue
            newest, *each = cast("list[object]", answer)
            self.newest = max(self.newest, int(cast("bytes", newest)))
            for n, one in zip(members, each, strict=True):
                outcomes[n] = operations[n].outcome(one)
        return outcomes

    def _call(self, partition: Partition, operations: Sequence[Operation]) -> Call:
        keys = self._layout[partition]
        numbers = SessionKeys(self._layout, len(keys.of_a_write) + 1)
        arguments: list[Argument] = []
        for operation in operations:
            arguments += operation.arguments(numbers)
        return script_call("write", keys.slot, [*keys.of_a_write, *numbers.keys], arguments)


def _entries(operations: Sequence[Operation]) -> list[Entry]:
    entries: list[Entry] = []
    for operation in operations:
        entries.append(operation.partition)
        entries += [(key.kind, key.project, key.partition) for key in operation.adds]
    return entries
