"""What two nodes on one database promise together, over TCP: each engine's module runs it on its fixture `nodes`."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, ClassVar

from tests.histories.client import Client, Told
from tests.histories.crowd import Crowd
from tests.histories.model import Limit, Model
from tests.histories.nodes import Nodes
from tests.histories.operations import Revoke, RevokeProject
from tests.server_process import SERVER_KEY

WRITES = 30
_CREATED, _CONFLICT, _UNAVAILABLE = 201, 409, 503
_RACERS, _CREATES, _ROUNDS = 16, 64, 4


class Strictness:
    """Tests for nodes whose policy has *limit*."""

    limit: ClassVar[Limit]

    async def test_what_commands_and_requests_end_is_ended_on_both_nodes_at_once(self, nodes: Nodes) -> None:
        node, other = nodes
        async with Crowd.at(node.url, other.url) as crowd:
            await crowd.acknowledged(WRITES)
            session = crowd.some_session()
            await crowd.note(Revoke(session), asyncio.to_thread(node.run, "sessions", "revoke", session))
            everyone = asyncio.to_thread(node.run, "sessions", "revoke", "--all", "--yes")
            await crowd.note(RevokeProject(), everyone)
            await crowd.acknowledged(WRITES)

        faults = crowd.faults(Model(self.limit))
        assert not faults, faults

    def test_16_refreshes_at_once_over_both_nodes_leave_one_lineage(self, nodes: Nodes) -> None:
        for turn in range(_ROUNDS):
            token = _body(_create(nodes, f"refreshed-{turn}"))["refresh_token"]

            told = _at_once(nodes, _RACERS, "/v1/session/refresh", None, {"refresh_token": token})

            assert {each.status for each in told} == {200}
            (successor,) = {_body(each)["refresh_token"] for each in told}
            assert {_verify(nodes, node, each) for node in (0, 1) for each in told} == {200}
            (following,) = _at_once(nodes, 1, "/v1/session/refresh", None, {"refresh_token": successor})
            assert following.status == 200

    def test_a_session_limit_holds_under_64_creates_over_both_nodes(self, nodes: Nodes) -> None:
        told = _at_once(nodes, _CREATES, "/v1/sessions", SERVER_KEY, {"subject": "crowded"})

        made = [each for each in told if each.status == _CREATED]
        expected = {_UNAVAILABLE, _CREATED} if self.limit.evicts else {_UNAVAILABLE, _CREATED, _CONFLICT}
        assert {each.status for each in told} <= expected, told
        for node in (0, 1):
            living = [_verify(nodes, node, each) for each in made].count(200)
            assert living <= self.limit.most
            assert living == self.limit.most or len(told) > sum(map(_is_known, told))


def _is_known(told: Told) -> bool:
    """Tell whether it is known what became of a create: one that was answered 503 may have taken a place."""
    return told.status != _UNAVAILABLE


def _create(nodes: Nodes, subject: str) -> Told:
    return _at_once(nodes, 1, "/v1/sessions", SERVER_KEY, {"subject": subject})[0]


def _at_once(nodes: Nodes, count: int, path: str, bearer: str | None, body: object) -> list[Told]:
    """Send so many requests at the same moment, in turn to the one node and the other."""
    start = threading.Barrier(count)

    def ask(number: int) -> Told:
        with closing(Client([nodes[number % len(nodes)].url])) as client:
            start.wait()
            return client.ask(0, "POST", path, bearer=bearer, body=body)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(ask, range(count)))


def _verify(nodes: Nodes, node: int, told: Told) -> int:
    with closing(Client([nodes[node].url])) as client:
        return client.ask(0, "GET", "/v1/session", bearer=_body(told)["access_token"], body=None).status


def _body(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told.body)
    return found
