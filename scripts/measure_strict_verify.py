"""Measure the ways to verify strictly on SQLite: a read each time, or memory trusted by a look at who committed.

    .venv/bin/python scripts/measure_strict_verify.py [SESSIONS]

Prints microseconds per verify, medians of interleaved rounds, for sessions at random. The figures belong to
docs/decisions/0003-sqlite-memory-is-trusted-by-the-wal-index.md.
"""

import asyncio
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SessionId, SubjectId, mint_id
from sessiond.domain.projects import deployment_key
from sessiond.services.ports import Change, Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples

ROUNDS = 7
PER_ROUND = 20_000


async def fill(store: Store, count: int) -> list[SessionId]:
    """Put that many sessions, each of a subject of its own."""
    await store.apply(samples.put(samples.project(), samples.deployment()))
    ids = []
    for n in range(0, count, 100):
        partition = Partition(n // 100 % 4096)
        records = []
        for m in range(n, n + 100):
            name = SubjectId(f"user-{m}")
            identifier = mint_id(now=samples.NOW + m, partition=partition, entropy=os.urandom(8))
            records += [samples.subject(name, partition=partition), samples.session(name, id=identifier)]
            ids.append(identifier)
        await store.apply(samples.put(*records))
    return ids


def run(coroutine: Callable[[SessionId], object], ids: Sequence[SessionId]) -> float:
    """Return the microseconds that one call takes."""
    started = time.perf_counter()
    for identifier in ids:
        coroutine(identifier)
    return (time.perf_counter() - started) / len(ids) * 1e6


async def main() -> None:
    """Fill a database, measure every way in turn, print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"sqlite:///{folder}/x.db", role=Role.SERVER)
        ids = await fill(store, count)
        other = sqlite3.connect(f"{folder}/x.db", isolation_level=None)

        def read(identifier: SessionId) -> None:
            found = store.find_session(DEFAULT_PROJECT, identifier)
            try:
                found.send(None)  # it never waits
            except StopIteration:
                return

        def peek(identifier: SessionId) -> None:
            store.peek_session(DEFAULT_PROJECT, identifier)

        def ask_version(identifier: SessionId) -> None:
            other.execute("PRAGMA data_version").fetchone()
            store.peek_session(DEFAULT_PROJECT, identifier)

        for identifier in ids:
            read(identifier)
        ways = {"a read each": read, "memory, header": peek, "memory, data_version": ask_version}
        figures: dict[str, list[float]] = {name: [] for name in [*ways, "memory, header, after a commit"]}
        for _ in range(ROUNDS):
            some = random.choices(ids, k=PER_ROUND)  # noqa: S311  no secret
            for name, way in ways.items():
                figures[name].append(run(way, some))
            moved = []
            for identifier in some[:200]:
                await store.apply(
                    Change(partition=Partition(0), expects={deployment_key(): 1}, events=[samples.event()])
                )
                moved.append(run(peek, [identifier]))
            figures["memory, header, after a commit"].append(statistics.median(moved))
        other.close()
        await store.close()
    for name, rounds in figures.items():
        print(f"{name:32} {statistics.median(rounds):6.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
