"""Natural batching: what arrives while a batch is in flight is the next batch. Nothing waits on purpose but for a turn.

A linger of 1 to 2 ms halved the throughput that this has (docs/decisions). Each operation succeeds or fails alone;
a batch holds at most one write per key, in the order in which they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from sessiond.domain.records import Key
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.engine import unavailable

LARGEST_BATCH = 256


class Operation(Protocol):
    """Something to be written."""

    @property
    def keys(self) -> Sequence[Key]:
        """The records that this writes, by which two writes of one record are kept apart."""
        ...


AnyOperation = TypeVar("AnyOperation", bound=Operation)

Outcome = object
"""What one operation came to: an exception to be raised to its caller, or anything else as its answer."""


_Entry = tuple[AnyOperation, "asyncio.Future[object]"]
"""An operation, and who waits for it."""


class Batcher(Generic[AnyOperation]):
    """Collects operations on the event loop and runs them one batch at a time.

    *run* takes the operations and a function that must be called once, on the loop, with one outcome for each.
    Batchers of one kind may share their *counts*.
    """

    def __init__(
        self,
        run: Callable[[Sequence[AnyOperation], Callable[[Sequence[Outcome]], None]], None],
        counts: BatchCounts | None = None,
    ) -> None:
        self._run = run
        self._counts = counts or BatchCounts()
        self._counts.waiting.append(lambda: len(self._waiting))
        self._started_ns = 0
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Entry[AnyOperation]] = []
        self._batch: list[_Entry[AnyOperation]] = []
        self._scheduled = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    def submit(self, operation: AnyOperation) -> asyncio.Future[object]:
        """Accept *operation* for the next batch; the future holds its outcome. Cancelling it spoils nothing."""
        if self._closed:
            raise unavailable("it was closed")
        waiter: asyncio.Future[object] = self._loop.create_future()
        self._waiting.append((operation, waiter))
        self._counts.operations += 1
        if not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            self._start_soon()
        return waiter

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        self._closed = True
        await self._idle.wait()

    def _start_soon(self) -> None:
        # After the next turn of the loop, so that all that was read from the sockets at once goes together: requests
        # that were found with an answer, behind which a batch is ready to go, have only begun when it would have gone.
        self._loop.call_soon(self._loop.call_soon, self._start)

    def _start(self) -> None:
        self._batch, self._waiting = _split(self._waiting)
        operations = [operation for operation, _ in self._batch]
        self._started_ns = self._counts.now()
        try:
            self._run(operations, self._settle)
        except Exception as error:  # noqa: BLE001  whatever it is, each waiter must hear of it
            self._settle([error] * len(operations))

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        self._counts.durations.add(self._counts.now() - self._started_ns)
        for (_, waiter), outcome in zip(self._batch, outcomes, strict=True):
            if waiter.done():
                continue
            if isinstance(outcome, BaseException):
                waiter.set_exception(outcome)
            else:
                waiter.set_result(outcome)
        self._batch = []
        if self._waiting:
            self._start_soon()
        else:
            self._scheduled = False
            self._idle.set()


def _split(
    waiting: list[_Entry[AnyOperation]],
) -> tuple[list[_Entry[AnyOperation]], list[_Entry[AnyOperation]]]:
    """Return the next batch and what has to wait for the one after: writes of a key that is already in it."""
    if len(waiting) <= LARGEST_BATCH:
        wanted = [key for operation, _ in waiting for key in operation.keys]
        if len(waiting) == 1 or len(set(wanted)) == len(wanted):
            return waiting, []  # as nearly always: nothing keeps them apart, or in an order
    batch: list[_Entry[AnyOperation]] = []
    later: list[_Entry[AnyOperation]] = []
    taken: set[Key] = set()
    for place, entry in enumerate(waiting, 1):
        keys = entry[0].keys
        if taken.isdisjoint(keys):
            batch.append(entry)
            if len(batch) == LARGEST_BATCH:
                return batch, later + waiting[place:]
        else:
            later.append(entry)
        # What waits also bars its keys, so that the writes of one record keep the order in which they came.
        taken.update(keys)
    return batch, later
