"""Two nodes on PostgreSQL under clients of both: whatever fails, what was acknowledged explains every answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.histories.crowd import Crowd
from tests.histories.model import Limit, Model
from tests.histories.nodes import Nodes, set_clock, two_nodes
from tests.histories.proxy import Proxy
from tests.histories.strictness import WRITES, Strictness
from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.servers.postgresql import PostgresqlServer
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow

LIMIT = Limit(3)
MODEL = Model(LIMIT)
SETTINGS = {
    "SESSIOND_POLICY_MAX_SESSIONS": str(LIMIT.most),
    "SESSIOND_POLICY_ON_LIMIT": "deny",
    "SESSIOND_POLICY_GRACE": "300s",  # a clock that is set ahead shortens it
}
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiond'"


@pytest.fixture(scope="module")
def proxy(postgresql: PostgresqlServer) -> Iterator[Proxy]:
    with Proxy.before(postgresql.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgresqlServer, proxy: Proxy
) -> Iterator[Nodes]:
    url = postgresql.url().replace(f":{postgresql.port}/", f":{proxy.port}/")
    # Patient ones: what fails here is noticed at once.
    with two_nodes(tmp_path_factory.mktemp("nodes"), url, SETTINGS, patient=True) as pair:
        yield pair


def urls(nodes: Nodes) -> tuple[str, str]:
    return nodes[0].url, nodes[1].url


class TestStrictness(Strictness):
    limit = LIMIT


async def test_connections_that_the_database_ends_lose_nothing(
    nodes: Nodes, postgresql: PostgresqlServer
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        for _ in range(3):
            await crowd.acknowledged(WRITES // 3)
            await asyncio.to_thread(postgresql.run_sql, CUT)
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


async def test_a_network_that_breaks_between_a_write_and_its_answer_loses_nothing(
    nodes: Nodes, proxy: Proxy
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        for _ in range(6):
            await crowd.acknowledged(WRITES // 6)
            await asyncio.to_thread(proxy.cut)
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


async def test_nodes_that_get_no_connection_refuse_and_go_on_once_they_do(
    nodes: Nodes, postgresql: PostgresqlServer
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        await crowd.acknowledged(WRITES)
        taken = await all_connections_of(postgresql)
        await crowd.until(lambda: crowd.refused.total() > 0)  # by one: who is refused stays there
        for connection in taken:
            await connection.close()
        await crowd.acknowledged(WRITES)

    assert crowd.faults(MODEL) == ""


async def all_connections_of(postgresql: PostgresqlServer) -> list[asyncpg.Connection]:
    """Take every connection that the server has, also those that the nodes have."""
    taken: list[asyncpg.Connection] = []
    async with asyncio.timeout(WITHIN_SECONDS):
        while len(taken) < postgresql.connections:
            try:
                taken.append(await asyncpg.connect(postgresql.admin_url))
            except asyncpg.TooManyConnectionsError:
                await taken[0].execute(CUT)
    return taken


@pytest.mark.parametrize("ahead_seconds", [120, -120])
async def test_a_node_whose_clock_is_set_wrong_ends_nothing_and_revives_nothing(
    nodes: Nodes, ahead_seconds: int
) -> None:
    async with Crowd.at(*urls(nodes)) as crowd:
        await crowd.acknowledged(WRITES // 2)
        set_clock(nodes[0], ahead_seconds=ahead_seconds)
        await crowd.acknowledged(WRITES // 2)
        set_clock(nodes[0], ahead_seconds=0)
        await crowd.acknowledged(WRITES // 2)

    assert crowd.faults(MODEL) == ""


async def test_no_acknowledged_write_is_lost_when_the_standby_takes_over(tmp_path: Path) -> None:
    with PostgresqlServer.started() as primary, primary.followed() as standby:
        both = primary.url().replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")
        with two_nodes(tmp_path, both, SETTINGS) as nodes:
            async with Crowd.at(*urls(nodes)) as crowd:
                await crowd.acknowledged(WRITES)
                await asyncio.to_thread(primary.kill)
                await crowd.until(lambda: crowd.refused.total() > 0)  # by one: who is refused stays there
                await asyncio.to_thread(standby.run_sql, "SELECT pg_promote()")
                await crowd.acknowledged(WRITES)

            assert crowd.faults(MODEL) == ""


async def test_a_worker_that_is_killed_under_load_takes_nothing_with_it(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    settings = SETTINGS | {"SESSIOND_DATABASE": postgresql.url(), "SESSIOND_WORKERS": "2"}
    with ServerProcess.started(tmp_path, settings=settings) as server:
        eventually(lambda: len(workers_of(server)) == 2)
        workers = workers_of(server)
        async with Crowd.at(server.url) as crowd:
            await crowd.acknowledged(WRITES)
            os.kill(workers[0], signal.SIGKILL)
            await crowd.acknowledged(WRITES)
            await asyncio.to_thread(eventually, lambda: len(set(workers_of(server)) - {workers[0]}) == 2)
            await crowd.acknowledged(WRITES)

        assert crowd.faults(MODEL) == ""


def workers_of(server: ServerProcess) -> list[int]:
    parent = server.process.pid
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
