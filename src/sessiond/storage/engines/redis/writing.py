"""Writing: operations become one script call for each partition, in batches of their own for each server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import Partition
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.batches import Batches, Done
from sessiond.storage.engines.redis.calls import Caller, while_moving
from sessiond.storage.engines.redis.commands import Call, bulk, packed_script_call
from sessiond.storage.engines.redis.directory import Directory, Entry
from sessiond.storage.engines.redis.feed import Feed
from sessiond.storage.engines.redis.layout import KEYS_OF_A_WRITE, Layout
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.operations import Operation, SessionKeys


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
        self._entering: set[asyncio.Task[None]] = set()
        self.newest = 0
        """The highest sequence of an event that was acknowledged here."""
        self.told: dict[Partition, int] = {}
        """The same for each partition in which there were some since somebody took these."""

    async def write(self, operation: Operation) -> object:
        """Do *operation* in its server's next batch, again and again while its partition is being moved."""
        return await while_moving(self._submit, operation)

    def _submit(self, operation: Operation) -> asyncio.Future[object]:
        return self._batches.submit(self._layout[operation.partition].slot, operation)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._batches.close()

    def _run(self, address: Address, operations: Sequence[Operation], done: Done) -> None:
        missing = self._directory.missing(_entries(operations))
        if missing:
            task = asyncio.create_task(self._enter_and_send(missing, address, operations, done))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)
        else:
            self._send(address, operations, done)

    async def _enter_and_send(
        self, missing: Sequence[Entry], address: Address, operations: Sequence[Operation], done: Done
    ) -> None:
        try:
            await self._directory.enter(missing)
            self._send(address, operations, done)
        except BaseException as error:  # noqa: BLE001  each waiter must hear of it
            failure = error if isinstance(error, Exception) else unavailable("it was closed")
            done([failure] * len(operations))

    def _send(self, address: Address, operations: Sequence[Operation], done: Done) -> None:
        together: dict[Partition, list[Operation]] = {}
        for operation in operations:
            together.setdefault(operation.partition, []).append(operation)
        calls = [self._call(partition, some) for partition, some in together.items()]

        def take(answers: Sequence[Outcome]) -> None:
            if self._feed is not None:
                # Before any caller hears of it; also for those that failed, as they may have been written.
                self._feed.changed(key for operation in operations for key in operation.changes)
            outcomes: dict[Operation, Outcome] = {}
            for some, answer in zip(together.values(), answers, strict=True):
                outcomes.update(zip(some, self._outcomes(some, answer), strict=True))
            done([outcomes[operation] for operation in operations])

        self._caller.start(address, calls, Lane.WRITE, take)

    def _outcomes(self, operations: Sequence[Operation], answer: Outcome) -> Sequence[Outcome]:
        """Return what the operations of a partition came to, by the answer of the script that did them."""
        if isinstance(answer, Unavailable):
            return [answer] * len(operations)
        try:
            newest, *each = cast("list[object]", answer)
            told = int(cast("bytes", newest))
            if told:
                self.newest = max(self.newest, told)
                self.told[operations[0].partition] = told
            return [operation.outcome(one) for operation, one in zip(operations, each, strict=True)]
        except Exception as error:  # noqa: BLE001  whatever it is, who wrote must hear of it
            return [error] * len(operations)

    def _call(self, partition: Partition, operations: Sequence[Operation]) -> Call:
        keys = self._layout[partition]
        numbers = SessionKeys(self._layout, KEYS_OF_A_WRITE + 1)
        arguments: list[bytes] = []
        for operation in operations:
            arguments += operation.arguments(numbers)
        sessions = numbers.keys
        packed = [keys.packed, *map(bulk, sessions)]
        return packed_script_call("write", keys.slot, packed, KEYS_OF_A_WRITE + len(sessions), arguments)


def _entries(operations: Sequence[Operation]) -> list[Entry]:
    entries: list[Entry] = []
    for operation in operations:
        entries.append(operation.partition)
        entries += [(key.kind, key.project, key.partition) for key in operation.adds]
    return entries
