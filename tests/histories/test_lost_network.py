"""A network that loses everything between a node and PostgreSQL: no reset comes, nothing is refused, nobody answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.histories.crowd import Crowd
from tests.histories.nodes import WRAPPING_KEY
from tests.histories.proxy import Proxy
from tests.histories.strictness import WRITES
from tests.server_process import SERVER_KEY, WITHIN_SECONDS, ServerProcess
from tests.servers.cable import Cable
from tests.servers.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow, pytest.mark.soak]

KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
BOUNDS_MS = [0, 500]
ANSWERED_WITHIN_SECONDS = 60
OK, UNAUTHORIZED, UNAVAILABLE = 200, 401, 503


class Far(NamedTuple):
    """A node behind a cable, and one beside the database."""

    far: ServerProcess
    near: ServerProcess
    cable: Cable


@pytest.fixture(params=BOUNDS_MS, ids=["strict", "from memory"])
def nodes(request: pytest.FixtureRequest, tmp_path: Path, postgresql: PostgresqlServer) -> Iterator[Far]:
    url = postgresql.url(sslmode="disable")  # what is not of this machine asks for TLS
    settings = {"SESSIOND_KEY": WRAPPING_KEY, "SESSIOND_POLICY_GRACE": "300s"}
    if request.param:
        settings["SESSIOND_CACHE_MAX_STALENESS"] = f"{request.param}ms"
    with ExitStack() as stack:
        cable = stack.enter_context(Cable.laid())
        proxy = stack.enter_context(Proxy.before(postgresql.port, cable.listener()))
        through = url.replace(f"127.0.0.1:{postgresql.port}", f"{proxy.host}:{proxy.port}")
        assert through != url
        (tmp_path / "near").mkdir()
        (tmp_path / "far").mkdir()
        near, far = (
            stack.enter_context(
                ServerProcess.started(
                    tmp_path / name, settings=settings | {"SESSIOND_DATABASE": database}, patient=False
                )
            )
            for name, database in (("near", url), ("far", through))
        )
        yield Far(far, near, cable)
        cable.mend()


def bearer(made: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {made.json()['access_token']}"}


def test_a_node_that_lost_its_database_refuses_and_comes_back(
    nodes: Far, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    bound = request.node.callspec.params["nodes"] / 1000
    with httpx.Client(base_url=nodes.far.url) as far, httpx.Client(base_url=nodes.near.url) as near:
        ended, kept = (near.post("/v1/sessions", headers=KEY, json={"subject": name}) for name in ("a", "b"))
        for made in (ended, kept):
            assert [far.get("/v1/session", headers=bearer(made)).status_code for _ in range(5)] == [OK] * 5

        nodes.cable.lose()
        path = f"/v1/sessions/{ended.json()['session']['id']}"
        assert near.delete(path, headers=KEY).status_code == 204
        acknowledged = time.monotonic()
        accepted, longest, answers = acknowledged, 0.0, set[int]()
        while UNAVAILABLE not in answers:
            asked = time.monotonic()
            assert asked - acknowledged < WITHIN_SECONDS, answers
            status = far.get("/v1/session", headers=bearer(ended)).status_code
            longest = max(longest, time.monotonic() - asked)
            accepted = asked if status == OK else accepted
            answers.add(status)
        write = far.post("/v1/sessions", headers=KEY, json={"subject": "c"})

        nodes.cable.mend()
        deadline = time.monotonic() + WITHIN_SECONDS
        while far.get("/v1/session", headers=bearer(kept)).status_code == UNAVAILABLE:
            assert time.monotonic() < deadline
        back = [far.get("/v1/session", headers=bearer(made)).status_code for made in (kept, ended)]

    assert answers <= {OK, UNAVAILABLE}
    assert accepted - acknowledged <= bound
    assert longest < ANSWERED_WITHIN_SECONDS
    assert write.status_code == UNAVAILABLE
    assert back == [OK, UNAUTHORIZED]
    record_property("refused after", f"{longest:.1f} s")
    record_property("accepted for", f"{(accepted - acknowledged) * 1000:.0f} of {bound * 1000:.0f} ms")


async def test_clients_of_both_nodes_are_told_nothing_that_no_order_explains(
    nodes: Far, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    bound = request.node.callspec.params["nodes"]
    async with Crowd.at(nodes.far.url, nodes.near.url) as crowd:
        await crowd.acknowledged(WRITES)
        nodes.cable.lose()
        await crowd.until(lambda: crowd.refused[0] > 0)
        nodes.cable.mend()
        await crowd.recovered()
        await crowd.acknowledged(WRITES)

    assert crowd.faults(bound_ns=bound * 1_000_000) == ""
    record_property("operations", len(crowd.history))
    record_property("refused", crowd.refused[0])
