"""Two nodes on Redis under clients of both: whatever fails, what was acknowledged explains every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.domain.ids import PARTITIONS, Partition
from sessiond.storage.engines.redis.layout import Layout
from tests.histories.checker import describe, unexplained
from tests.histories.crowd import Crowd
from tests.histories.model import ENDED_CODES, Limit, Model
from tests.histories.nodes import Nodes, two_nodes
from tests.histories.operations import RevokeProject, Verify
from tests.histories.strictness import WRITES, Strictness
from tests.server_process import ServerProcess
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.slow

NAMESPACE = "histories"
LIMIT = Limit(3, evicts=True)
MODEL = Model(LIMIT)
SETTINGS = {
    "SESSIOND_POLICY_MAX_SESSIONS": str(LIMIT.most),
    "SESSIOND_POLICY_ON_LIMIT": "evict_oldest",
    "SESSIOND_POLICY_GRACE": "300s",  # however long the racers of a busy machine take
}


@pytest.fixture(scope="module")
def harmed() -> Iterator[RedisCluster]:
    """A cluster that these tests may harm."""
    with RedisCluster.started() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, harmed: RedisCluster) -> Iterator[Nodes]:
    with two_nodes(tmp_path_factory.mktemp("nodes"), harmed.url(NAMESPACE), SETTINGS) as pair:
        yield pair


@pytest.fixture(scope="module")
def patient_nodes(tmp_path_factory: pytest.TempPathFactory, harmed: RedisCluster) -> Iterator[Nodes]:
    """Nodes that wait for a cluster whose cores were taken away."""
    folder, url = tmp_path_factory.mktemp("patient"), harmed.url("patient")
    with two_nodes(folder, url, SETTINGS, patient=True) as pair:
        yield pair


@pytest.fixture
def cluster(harmed: RedisCluster) -> Iterator[RedisCluster]:
    yield harmed
    harmed.mend()


def urls(nodes: Nodes) -> tuple[str, str]:
    return nodes[0].url, nodes[1].url


class TestStrictness(Strictness):
    limit = LIMIT

    @pytest.fixture
    def nodes(self, patient_nodes: Nodes) -> Nodes:
        """Nodes that take nothing for a failure, as nothing fails here."""
        return patient_nodes


async def test_a_master_that_is_killed_takes_no_acknowledged_write_with_it(
    nodes: Nodes, cluster: RedisCluster
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        await crowd.acknowledged(WRITES)
        killed = cluster.masters()[0]
        (heir,) = cluster.replicas_of(killed)
        cluster.let_masters_be_replaced()
        await asyncio.to_thread(killed.kill)
        await asyncio.to_thread(cluster.until_master, heir)
        await crowd.recovered()
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


async def test_a_master_that_is_cut_off_until_another_took_its_place_serves_nothing_of_before(
    nodes: Nodes, cluster: RedisCluster
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        await crowd.acknowledged(WRITES)
        stopped = cluster.masters()[1]
        (heir,) = cluster.replicas_of(stopped)
        cluster.let_masters_be_replaced()
        stopped.pause()
        await asyncio.to_thread(cluster.until_master, heir)
        await crowd.recovered()
        await crowd.acknowledged(WRITES)
        stopped.resume()
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


@pytest.mark.soak
@pytest.mark.parametrize("tenths", range(6, 34, 2))
async def test_a_master_that_stops_for_a_moment_answers_late_what_was_on_its_way_and_nothing_else(
    nodes: Nodes, cluster: RedisCluster, tenths: int, record_property: Callable[[str, object], None]
) -> None:
    """Stopped for less or longer than its replacement takes; `docs/operations/redis.md` tells of what is late."""
    async with Crowd.at(*urls(nodes), seed=tenths) as crowd:
        await crowd.acknowledged(WRITES)
        cluster.let_masters_be_replaced()
        (stopped := cluster.masters()[tenths // 2 % 3]).pause()
        await asyncio.sleep(tenths / 10)
        resumed = time.monotonic_ns()
        stopped.resume()
        # Until it has its turn, it knows of nothing that happened.
        await asyncio.to_thread(stopped.ask, "PING")
        gone_on = time.monotonic_ns()
        await crowd.acknowledged(WRITES)

    in_time = [
        each
        for each in crowd.history
        if not (isinstance(each.action, Verify) and each.invoked < gone_on and each.completed > resumed)
    ]
    record_property("answers", len(crowd.history))
    record_property("verifies in the moment in which it went on", len(crowd.history) - len(in_time))
    assert describe(unexplained(in_time, MODEL)) == ""
    assert crowd.defects == []


async def test_slots_that_are_moved_under_load_lose_nothing(nodes: Nodes, cluster: RedisCluster) -> None:
    slots = [Layout(NAMESPACE)[Partition(n)].slot for n in range(0, PARTITIONS, PARTITIONS // 4)]
    async with Crowd.at(*urls(nodes)) as crowd:
        await crowd.acknowledged(WRITES)
        for slot in slots:
            target = next(node for node in cluster.masters() if node is not cluster.master_of(slot))
            await asyncio.to_thread(cluster.move, slot, target)
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


async def test_an_emptied_database_ends_every_session_and_takes_no_more(tmp_path: Path) -> None:
    emptied = Model(LIMIT, ENDED_CODES | {"deployment_recovered", "invalid_token"})
    with (
        RedisServer.started() as redis,
        ServerProcess.started(tmp_path, settings=SETTINGS | {"SESSIOND_DATABASE": redis.url()}) as node,
    ):
        async with Crowd.at(node.url) as crowd:
            await crowd.acknowledged(WRITES)
            await crowd.note(RevokeProject(), asyncio.to_thread(redis.ask, "FLUSHALL"))
            await crowd.until(lambda: crowd.refused[0] > 0)

        assert unexplained(crowd.history, emptied) == []
        assert [each for each in crowd.defects if ": 404 " not in each] == []
