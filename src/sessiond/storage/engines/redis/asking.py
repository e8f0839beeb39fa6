"""Asking: reads of any kind, each in the next batch of the server that has it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from sessiond.domain.records import Key
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.redis.batches import Batches
from sessiond.storage.engines.redis.calls import Call, Caller, answer_of, while_moving
from sessiond.storage.engines.redis.link import Answer
from sessiond.storage.engines.redis.nodes import Lane, Nodes


class _Question(NamedTuple):
    """A call that reads."""

    call: Call

    @property
    def keys(self) -> Sequence[Key]:
        """Nothing is written."""
        return ()


class Asking:
    """Carries reads to the servers, one batch at a time to each."""

    def __init__(self, nodes: Nodes, caller: Caller, counts: BatchCounts) -> None:
        self._caller = caller
        self._batches: Batches[_Question] = Batches(nodes, self._run, counts)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._batches.close()

    def submit(self, call: Call) -> asyncio.Future[object]:
        """Ask in the next batch: the future holds the answer, `Moving` while what is asked for is being moved."""
        return self._batches.submit(call.slot, _Question(call))

    async def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Return the answer to each of *calls*, or raise the refusal of one; several are a batch by themselves."""
        if len(calls) == 1:
            return [await while_moving(self.submit, calls[0])]
        return [answer_of(outcome) for outcome in await self._caller.call(calls, Lane.READ)]

    async def _run(self, questions: Sequence[_Question]) -> Sequence[Outcome]:
        return await self._caller.call([each.call for each in questions], Lane.READ, patient=False)
