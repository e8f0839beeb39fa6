"""`cache.max_staleness` on two nodes: what the one ended, the other accepts for no longer than that."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.histories.crowd import Crowd
from tests.histories.nodes import Nodes, two_nodes
from tests.histories.operations import Done, Verify
from tests.histories.strictness import WRITES
from tests.server_process import SERVER_KEY, WITHIN_SECONDS
from tests.servers.held_link import HeldLink
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.soak]

BOUND_NS = 500_000_000
SETTINGS = {"SESSIOND_CACHE_MAX_STALENESS": "500ms", "SESSIOND_POLICY_GRACE": "300s"}
KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
ROUNDS = 40


class Apart(NamedTuple):
    """Two nodes, and the link to their database, on which what is told can be held back."""

    nodes: Nodes
    link: HeldLink

    @property
    def urls(self) -> tuple[str, str]:
        return self.nodes[0].url, self.nodes[1].url

    async def hear(self, *, feed: str) -> None:
        """Return once both nodes say so of what they are told of changes."""
        deadline = time.monotonic() + WITHIN_SECONDS
        async with httpx.AsyncClient() as http:
            for url in self.urls:
                while await feed_of(http, url) != feed:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.02)


async def feed_of(http: httpx.AsyncClient, url: str) -> str | None:
    """Return what a node says of the feed of changes."""
    staleness = (await http.get(f"{url}/readyz")).json().get("staleness") or {}
    feed: str | None = staleness.get("feed")
    return feed


@pytest.fixture(params=["postgresql", "redis_server"])
async def apart(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Apart]:
    server: PostgresqlServer | RedisServer = request.getfixturevalue(request.param)
    async with HeldLink.before(server.port) as link:
        url = server.url().replace(f":{server.port}", f":{link.port}")
        with contextlib.ExitStack() as stack:
            nodes = await asyncio.to_thread(stack.enter_context, two_nodes(tmp_path, url, SETTINGS))
            apart = Apart(nodes, link)
            await apart.hear(feed="heard")
            yield apart
            link.release()
            await asyncio.to_thread(stack.close)


async def test_verifies_of_a_crowd_are_as_stale_as_is_allowed_and_no_staler(
    apart: Apart, record_property: Callable[[str, object], None]
) -> None:
    async with Crowd.at(*apart.urls) as crowd:
        await crowd.acknowledged(10 * WRITES)
        for _ in range(3):
            apart.link.hold_what_is_told()
            await crowd.acknowledged(5 * WRITES)
            apart.link.release()
            await apart.hear(feed="heard")
            await crowd.acknowledged(5 * WRITES)

    assert crowd.faults(bound_ns=BOUND_NS) == ""
    accepted = [each for each in crowd.history if isinstance(each.action, Verify) and each.answer == Done()]
    record_property("operations", len(crowd.history))
    record_property("verifies accepted", len(accepted))


@pytest.mark.parametrize("held", [False, True], ids=["told", "not told"])
async def test_what_one_node_ended_the_other_accepts_for_no_longer_than_the_bound(
    apart: Apart, record_property: Callable[[str, object], None], *, held: bool
) -> None:
    longest = 0.0
    async with httpx.AsyncClient() as http:
        for number in range(ROUNDS):
            one, other = apart.urls[number % 2], apart.urls[1 - number % 2]
            made = (await http.post(f"{one}/v1/sessions", headers=KEY, json={"subject": "alice"})).json()
            bearer = {"Authorization": f"Bearer {made['access_token']}"}
            for _ in range(5):
                assert (await http.get(f"{other}/v1/session", headers=bearer)).status_code == 200
            if held:
                apart.link.hold_what_is_told()

            ended = await http.delete(f"{one}/v1/sessions/{made['session']['id']}", headers=KEY)
            acknowledged = time.monotonic_ns()
            own = await http.get(f"{one}/v1/session", headers=bearer)
            last = acknowledged
            asked = time.monotonic_ns()
            while (await http.get(f"{other}/v1/session", headers=bearer)).status_code == 200:
                last, asked = asked, time.monotonic_ns()
                assert last - acknowledged <= BOUND_NS

            assert (ended.status_code, own.status_code) == (204, 401)
            longest = max(longest, (last - acknowledged) / 1e6)
            if held:
                apart.link.release()
                await apart.hear(feed="heard")
    record_property("rounds", ROUNDS)
    record_property("longest stale", f"{longest:.0f} of {BOUND_NS // 1_000_000} ms")
