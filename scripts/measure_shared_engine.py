"""Measure a shared engine's store in one process: creates, strict verifies and refreshes by 32 at once.

    .venv/bin/python scripts/measure_shared_engine.py URL [SESSIONS] [NODES]

Prints operations per second and, of each, the 99th percentile in milliseconds, and the processor time of this process
for one. With NODES above 1 as many stores share the work, as so many servers would from one machine.
"""

import asyncio
import itertools
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId, mint_id
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples

AT_ONCE = 32


async def measure(
    name: str, stores: Sequence[Store], count: int, work: Callable[[Store, int], Awaitable[object]]
) -> None:
    """Run *work* that many times, by `AT_ONCE` at each store, and print how fast it was."""
    numbers = itertools.count()
    took: list[float] = []

    async def client(store: Store) -> None:
        while (n := next(numbers)) < count:
            started = time.perf_counter()
            await work(store, n)
            took.append(time.perf_counter() - started)

    processor, started = time.process_time(), time.perf_counter()
    await asyncio.gather(*(client(store) for store in stores for _ in range(AT_ONCE)))
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    p99 = sorted(took)[int(len(took) * 0.99)] * 1e3
    print(f"{name:8} {count / seconds:9,.0f}/s   p99 {p99:6.1f} ms   {processor / count * 1e6:5.0f} µs here")


async def main() -> None:
    """Fill, then measure each operation."""
    given = dict(enumerate(sys.argv))
    url, count, nodes = given[1], int(given.get(2, "20000")), int(given.get(3, "1"))
    stores = [await open_store(url, role=Role.SERVER) for _ in range(nodes)]
    if await stores[0].get(samples.deployment().key) is None:
        await stores[0].apply(samples.put(samples.project(), samples.deployment()))
    now = int(time.time() * 1000)
    sessions: list[Session] = []

    async def create(store: Store, n: int) -> None:
        partition = Partition(random.randrange(4096))  # noqa: S311  no secret
        name = SubjectId(f"user-{now}-{n}")
        identifier = mint_id(now=now + n // 20, partition=partition, entropy=os.urandom(8))
        session = samples.session(name, id=identifier, created_at=now)
        await store.apply(
            samples.put(
                samples.subject(name, partition=partition),
                session,
                events=(samples.event(partition=partition),),
            )
        )
        sessions.append(session)

    async def verify(store: Store, _: int) -> None:
        await store.find_session(DEFAULT_PROJECT, random.choice(sessions).id)  # noqa: S311

    async def refresh(store: Store, n: int) -> None:
        await store.apply(samples.put(sessions[n].rotated(now=now, kid=5)))

    await measure("create", stores, count, create)
    await measure("verify", stores, count, verify)
    await measure("refresh", stores, count, refresh)
    for store in stores:
        await store.close()


if __name__ == "__main__":
    uvloop.run(main())
