"""Rows 11 and 14 on two nodes of each shared engine: one lineage, no session after its end, never more than N."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.dialects.native_calls import a_subject, bearer
from tests.histories.nodes import two_nodes
from tests.server_process import ServerProcess
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster

pytestmark = pytest.mark.slow

ROUNDS = 2
PATIENT = {"SESSIOND_POLICY_GRACE": "300s"}
"""A busy machine may need long for 64 refreshes; none of them may come after the grace."""

Nodes = tuple[ServerProcess, ServerProcess]


@pytest.fixture(scope="module", params=["postgresql", "redis_cluster"])
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    database: PostgresqlServer | RedisCluster = request.getfixturevalue(request.param)
    with two_nodes(tmp_path_factory.mktemp("racing"), database.url(), PATIENT, patient=True) as pair:
        yield pair


@pytest.fixture
async def http(nodes: Nodes) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=64)) as client:
        yield client


async def created(http: httpx.AsyncClient, node: ServerProcess, subject: str) -> httpx.Response:
    return await http.post(f"{node.url}/v1/sessions", headers=node.authorization, json={"subject": subject})


async def refreshed(http: httpx.AsyncClient, node: ServerProcess, token: str) -> httpx.Response:
    return await http.post(f"{node.url}/v1/session/refresh", json={"refresh_token": token})


async def shown(http: httpx.AsyncClient, node: ServerProcess, token: str) -> int:
    return (await http.get(f"{node.url}/v1/session", headers=bearer(token))).status_code


async def test_row_11_of_64_refreshes_at_once_on_two_nodes_all_get_one_successor(
    http: httpx.AsyncClient, nodes: Nodes
) -> None:
    for _ in range(ROUNDS):
        token = (await created(http, nodes[0], a_subject())).json()["refresh_token"]

        answers = await asyncio.gather(*(refreshed(http, nodes[n % 2], token) for n in range(64)))

        assert [answer.status_code for answer in answers] == [200] * 64
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        assert {
            await shown(http, nodes[n % 2], a.json()["access_token"]) for n, a in enumerate(answers[:4])
        } == {200}


async def test_row_11_a_revoke_among_refreshes_and_verifies_is_the_end_on_both_nodes(
    http: httpx.AsyncClient, nodes: Nodes
) -> None:
    for _ in range(ROUNDS):
        born = (await created(http, nodes[0], a_subject())).json()
        path = f"{nodes[1].url}/v1/sessions/{born['session']['id']}"
        tokens = [born["access_token"]]

        async def refresh(
            node: ServerProcess, born: dict[str, str] = born, tokens: list[str] = tokens
        ) -> int:
            answer = await refreshed(http, node, born["refresh_token"])
            if answer.status_code == 200:
                tokens.append(answer.json()["access_token"])
            return answer.status_code

        statuses = await asyncio.gather(
            *(refresh(nodes[n % 2]) for n in range(12)),
            *(shown(http, nodes[n % 2], born["access_token"]) for n in range(12)),
            *(http.delete(path, headers=nodes[1].authorization) for _ in range(2)),
        )

        assert {each for each in statuses if isinstance(each, int)} <= {200, 401}
        assert [each.status_code for each in statuses if isinstance(each, httpx.Response)] == [204, 204]
        assert {await shown(http, node, token) for node in nodes for token in tokens[-3:]} == {401}
        assert (await refreshed(http, nodes[0], born["refresh_token"])).status_code == 401


async def test_row_14_of_64_creates_at_once_on_two_nodes_no_more_live_than_may(
    http: httpx.AsyncClient, nodes: Nodes
) -> None:
    operator = bearer(nodes[0].master_token)
    changed = await http.patch(
        f"{nodes[0].url}/v1/policy", headers=operator, json={"max_sessions": 3, "on_limit": "deny"}
    )
    assert changed.status_code == 200, changed.text
    subject = a_subject()

    answers = await asyncio.gather(*(created(http, nodes[n % 2], subject) for n in range(64)))

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] * 3 + [409] * 61
    listed = await http.get(
        f"{nodes[1].url}/v1/sessions", headers=nodes[1].authorization, params={"subject": subject}
    )
    assert len(listed.json()["items"]) == 3
    assert (await http.delete(f"{nodes[0].url}/v1/policy", headers=operator)).is_success
