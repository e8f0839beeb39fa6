"""A deployment whose audit is sealed, tampered with and checked."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from sessiond.domain.audit_check import Fault
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.services.audit_sealing import LOOKED_EVERY_MS
from sessiond.services.auditing import Report
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from tests.deployment import SetClock, TestDeployment
from tests.services.sealing import seal_all

Tamper = Callable[[sqlite3.Connection], object]


@contextlib.asynccontextmanager
async def deployed(directory: Path, clock: SetClock) -> AsyncIterator[TestDeployment]:
    """Open the deployment in *directory* as a server does."""
    store = await open_store(f"sqlite:///{directory / 'sessiond.db'}", role=Role.SERVER)
    try:
        yield await TestDeployment.born(store=store, clock=clock)
    finally:
        await store.close()


async def live(node: TestDeployment) -> None:
    """Have twelve subjects come. The events up to the sequence 22 are sealed, in three links; four are not."""
    await seal_all(node)
    for n in range(12):
        if n % 5 == 0:
            await seal_all(node)
        await node.issue(SubjectId(f"user-{n}"))


async def note(node: TestDeployment) -> None:
    """Have the sealer write down how far it came, as it does every few seconds."""
    for _ in range(2):
        await seal_all(node)
        node.clock.advance(milliseconds=LOOKED_EVERY_MS)
    await seal_all(node)


async def verified(node: TestDeployment, kept: tuple[int, bytes] | None = None) -> Report:
    """Return what a check says; *kept* is a head that was kept elsewhere."""
    return await node.services.auditing.verify(DEFAULT_PROJECT, kept=kept)


async def after(tmp_path: Path, tamper: Tamper) -> Report:
    """Return what a check says after *tamper* had its way with the database."""
    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await note(node)
        await live(node)
        assert (await verified(node)).findings == []
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        tamper(database)
    async with deployed(tmp_path, clock) as node:
        return await verified(node)


def found(report: Report) -> list[tuple[Fault, int | None]]:
    """Return what is wrong with which event or link."""
    return [(each.fault, each.sequence or each.link) for each in report.findings]
