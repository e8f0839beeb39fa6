"""Hashing PINs on threads of their own: a bounded number at once, a bounded number waiting.

A hash holds a core for tens of milliseconds and 19 MiB of memory, and the loop must not wait for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from sessiond.crypto import pins
from sessiond.crypto.purposes import Purpose
from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import ProjectId
from sessiond.domain.pins import Pin
from sessiond.services.keys import Keys
from sessiond.services.ports import Entropy

_WAITING_PER_THREAD = 16

T = TypeVar("T")


class PinHashing:
    """Hashes PINs under the pepper of the key ring, *threads* of them at once.

    *begin_thread* is called first by each thread.
    """

    def __init__(
        self,
        keys: Keys,
        entropy: Entropy,
        *,
        threads: int,
        begin_thread: Callable[[], None] | None = None,
    ) -> None:
        self._keys = keys
        self._entropy = entropy
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="pin", initializer=begin_thread)
        self._permits = threading.BoundedSemaphore(threads * (1 + _WAITING_PER_THREAD))

    def permit(self) -> Permit:
        """Return a permit to hash once, to be used with `with`; `Unavailable` (`busy`) when all are given out."""
        if not self._permits.acquire(blocking=False):
            raise Unavailable("busy", "Too many PINs are being checked; try again in a moment.")
        return Permit(self._executor, self._permits)

    async def hashed(self, project: ProjectId, pin: str) -> tuple[int, str]:
        """Return the key id of the active pepper and the hash of *pin* under it."""
        kid = self._keys.ring.active_root(project).kid
        pepper, salt = self._pepper(kid), self._entropy.bytes(pins.SALT_SIZE)
        with self.permit() as permit:
            return kid, await permit.run(lambda: pins.hash_pin(pin, pepper, salt=salt))

    async def matches(self, permit: Permit, project: ProjectId, stored: Pin | None, pin: str) -> bool:
        """Tell whether *pin* is the *stored* one; none at all costs the same time.

        A PIN under a key that is gone (destroyed, compromised) must be set anew: nothing matches it.
        """
        if stored is not None and self._keys.ring.root(stored.kid) is None:
            await self._keys.reload()
        if stored is None or self._keys.ring.root(stored.kid) is None:
            kid, text = self._keys.ring.active_root(project).kid, pins.DUMMY
        else:
            kid, text = stored.kid, stored.hash
        pepper = self._pepper(kid)
        return await permit.run(lambda: pins.matches(text, pin, pepper))

    def _pepper(self, kid: int) -> bytes:
        return self._keys.ring.key(kid, Purpose.PIN_PEPPER)

    def close(self) -> None:
        """Let go of the threads; what is waiting is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class Permit:
    """Lets one hash run, or wait. It is given back when its work is done, also if nobody waits for that any more."""

    def __init__(self, executor: ThreadPoolExecutor, permits: threading.BoundedSemaphore) -> None:
        self._executor = executor
        self._permits = permits
        self._used = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._used:
            self._permits.release()

    async def run(self, work: Callable[[], T]) -> T:
        """Return what *work* returns, run once on a thread of the pool."""
        future = self._executor.submit(work)
        self._used = True
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _future: Future[T]) -> None:
        self._permits.release()
