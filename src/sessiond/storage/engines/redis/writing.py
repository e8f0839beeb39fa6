"""Writing: operations become one script call for each partition, in batches of their own for each server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import Partition
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.redis.batches import Batches
from sessiond.storage.engines.redis.calls import Call, Caller, script_call, while_moving
from sessiond.storage.engines.redis.directory import Directory, Entry
from sessiond.storage.engines.redis.feed import Feed
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.operations import Argument, Operation, SessionKeys


class Writing:
    """Accepts operations; each server has a batch in flight, whatever another one does."""

    def __init__(
        self, layout: Layout, nodes: Nodes, caller: Caller, directory: Directory, feed: Feed | None = None
    ) -> None:
        self._feed = feed
        self._layout = layout
        self._caller = caller
        self._directory = directory
        self.counts = BatchCounts()
        self._batches: Batches[Operation] = Batches(nodes, self._run, self.counts)
        self.newest = 0
        """The highest sequence of an event that was acknowledged here."""

    async def write(self, operation: Operation) -> object:
        """Do *operation* in its server's next batch, again and again while its partition is being moved."""
        return await while_moving(self._submit, operation)

    def _submit(self, operation: Operation) -> asyncio.Future[object]:
        return self._batches.submit(self._layout[operation.partition].slot, operation)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._batches.close()

    async def _run(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        try:
            return await self._write(operations)
        finally:
            if self._feed is not None:
                # Before any caller hears of it; also for those that failed, as they may have been written.
                self._feed.changed(key for operation in operations for key in operation.changes)

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
