"""Hashing PINs on threads of their own: a bounded number at once, a bounded number waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from sessiond.domain.errors import Unavailable

_WAITING_PER_THREAD = 16

T = TypeVar("T")


class PinHashing:
    """A pool of *threads*; a hash holds a core for tens of milliseconds and 19 MiB, so that no more run at once."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pin")
        self._places = threading.BoundedSemaphore(threads * (1 + _WAITING_PER_THREAD))

    def place(self) -> Place:
        """Return a place in the queue, to be used with `with`; `Unavailable` (`busy`) when all are taken."""
        if not self._places.acquire(blocking=False):
            raise Unavailable("busy", "Too many PINs are being checked; try again in a moment.")
        return Place(self._executor, self._places)

    def close(self) -> None:
        """Let go of the threads; what is waiting is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Place:
    """One place in the queue. It is free again when its work is done, also if nobody waits for that any more."""

    def __init__(self, executor: ThreadPoolExecutor, places: threading.BoundedSemaphore) -> None:
        self._executor = executor
        self._places = places
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._used:
            self._places.release()

    async def run(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, run once on a thread of the pool."""
        future = self._executor.submit(work)
        self._used = True
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _future: Future[T]) -> None:
        self._places.release()
