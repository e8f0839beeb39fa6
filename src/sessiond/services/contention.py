"""Deciding again after a conflict: retries on one record are serialized within the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple
from weakref import WeakValueDictionary

from sessiond.domain.errors import Conflict, Unavailable

_ATTEMPTS = 64

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
CONTENDED = Unavailable("contended", "Too many writers at once; try again.")


class Contention:
    """Runs an attempt again, with fresh reads, until nobody wrote in between.

    The first attempt takes no lock; those after it wait for each other, so that each of them finds the store at rest
    as far as this process is concerned.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def settle(
        self,
        what: tuple[str, str],
        attempt: Callable[[*Arguments], Awaitable[T]],
        *arguments: *Arguments,
    ) -> T:
        """Return what *attempt* of *arguments* returns; *what* names (project, record) whose writers contend.

        Raises `Unavailable` (`contended`) when other processes win every time.
        """
        try:
            return await attempt(*arguments)
        except Conflict:
            pass
        lock = self._locks.get(what)
        if lock is None:
            lock = self._locks[what] = asyncio.Lock()
        async with lock:
            for _ in range(_ATTEMPTS):
                try:
                    return await attempt(*arguments)
                except Conflict:
                    continue
        raise CONTENDED
