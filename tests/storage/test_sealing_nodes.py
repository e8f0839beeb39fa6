"""Nodes on one database seal what happened once, on every engine that nodes can share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sessiond.domain.audit_chain import LEASE_MS
from sessiond.domain.ids import DEFAULT_PROJECT, PARTITIONS, Partition, SubjectId
from sessiond.services.audit_sealing import FOLLOWED_AT_ONCE
from sessiond.services.ports import Change
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.deployment import TestDeployment
from tests.server_process import ServerProcess
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow

ROUNDS = 6
CREATES = 20


@pytest.fixture(params=("postgresql", "redis_server", "redis_cluster"))
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[TestDeployment, TestDeployment]]:
    server: PostgresqlServer | RedisServer | RedisCluster = request.getfixturevalue(request.param)
    url = server.url()
    stores = [await open_store(url, role=Role.SERVER) for _ in range(2)]
    first = await TestDeployment.born(store=stores[0])
    yield first, await TestDeployment.born(store=stores[1], clock=first.clock, seed="second")
    for store in stores:
        await store.close()


async def seal(node: TestDeployment) -> None:
    """Seal everything that is known of."""
    while await node.services.sealer.seal():
        pass


async def test_two_nodes_seal_once_what_both_write_meanwhile(
    nodes: tuple[TestDeployment, TestDeployment],
) -> None:
    one, two = nodes

    async def create(node: TestDeployment, turn: int) -> None:
        for n in range(CREATES):
            await node.issue(SubjectId(f"user-{turn}-{n}"))

    for turn in range(ROUNDS):
        await asyncio.gather(create(one, turn), create(two, turn), seal(one), seal(two))
        one.clock.advance(milliseconds=LEASE_MS // (1 + turn % 3))
    one.clock.advance(milliseconds=LEASE_MS)
    await seal(two)

    told, _ = await one.services.store.follow(b"", limit=9999)
    report = await one.services.auditing.verify(DEFAULT_PROJECT)
    assert (report.findings, report.counts.unsealed) == ([], 0)
    assert report.counts.sealed == len(told) >= 2 * ROUNDS * CREATES


@pytest.mark.parametrize("leaves", [False, True], ids=["it goes on", "it leaves the rest to another"])
async def test_who_takes_over_more_than_is_read_at_once_seals_nothing_again_that_is_read_late(
    nodes: tuple[TestDeployment, TestDeployment], *, leaves: bool
) -> None:
    dead, heir = nodes

    async def tell(partition: Partition, count: int) -> None:
        event = samples.event(partition=partition, at=dead.clock.now())
        await dead.services.store.apply(Change(partition=partition, expects={}, events=[event] * count))

    await tell(Partition(PARTITIONS - 1), 3)
    await seal(dead)
    heir.clock.advance(milliseconds=LEASE_MS)
    await asyncio.gather(*(tell(Partition(n), FOLLOWED_AT_ONCE // 200) for n in range(300)))

    assert await heir.services.sealer.seal()
    if leaves:
        await heir.services.sealer.release()
    await seal(dead if leaves else heir)

    report = await heir.services.auditing.verify(DEFAULT_PROJECT)
    assert (report.findings, report.counts.unsealed) == ([], 0)


async def test_what_another_node_told_is_followed_once_it_told_of_it_or_by_looking_everywhere(
    nodes: tuple[TestDeployment, TestDeployment],
) -> None:
    follower, writer = (node.services.store for node in nodes)
    _, mark = await follower.follow(b"", limit=99)

    async def tell() -> None:
        await writer.apply(Change.telling(samples.event()))

    async def followed(*, everywhere: bool) -> int:
        nonlocal mark
        told, mark = await follower.follow(mark, limit=99, everywhere=everywhere)
        return len(told)

    await tell()
    assert await followed(everywhere=True) == 1
    await tell()
    await writer.newest_event()
    assert await followed(everywhere=False) == 1
    await tell()
    await writer.close()
    assert await followed(everywhere=False) == 1
    assert await followed(everywhere=True) == 0


async def test_what_another_node_tells_of_is_sealed_though_something_higher_was_sealed_before(
    nodes: tuple[TestDeployment, TestDeployment],
) -> None:
    sealing, writing = nodes
    await writing.services.store.newest_event()
    await seal(sealing)

    await writing.services.store.apply(Change.telling(samples.event(partition=Partition(1))))
    await sealing.services.store.apply(Change.telling(samples.event(partition=Partition(2))))
    await seal(sealing)
    await writing.services.store.newest_event()
    await seal(sealing)

    report = await sealing.services.auditing.verify(DEFAULT_PROJECT)
    assert (report.findings, report.counts.unsealed) == ([], 0)


@pytest.mark.soak
def test_another_server_seals_on_once_the_one_that_did_is_killed(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    settings = {"SESSIOND_DATABASE": postgresql.url()}
    (tmp_path / "second").mkdir()
    with ServerProcess.started(tmp_path, settings=settings) as first:
        key = (first.data_dir / "secrets" / "key").read_text().strip()
        with ServerProcess.started(tmp_path / "second", settings=settings | {"SESSIOND_KEY": key}) as second:
            for n in range(50):
                server = (first, second)[n % 2]
                body = {"subject": f"user-{n}"}
                created = httpx.post(f"{server.url}/v1/sessions", json=body, headers=server.authorization)
                assert created.status_code == 201
            first.kill()

            def sealed() -> bool:
                told = json.loads(second.run("audit", "verify", "--json").stdout)
                assert told["faults"] == []
                return bool(told["unsealed"] == 0)

            eventually(sealed)
