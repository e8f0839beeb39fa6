"""Two nodes on one database promise what one does, on every engine that nodes can share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Store
from sessiond.services.token_forms import Form
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.deployment import ALICE, TestDeployment
from tests.server_process import ServerProcess
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.slow

Nodes = tuple[TestDeployment, TestDeployment]


@pytest.fixture(params=("postgresql", "redis_server", "redis_cluster"))
def url(request: pytest.FixtureRequest) -> str:
    server: PostgresqlServer | RedisServer | RedisCluster = request.getfixturevalue(request.param)
    return server.url()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[tuple[Store, Store]]:
    first, second = [await open_store(url, role=Role.SERVER) for _ in range(2)]
    yield first, second
    await first.close()
    await second.close()


async def nodes_on(stores: tuple[Store, Store], rules: Rules | None = None) -> Nodes:
    first = await TestDeployment.born(rules, store=stores[0])
    second = await TestDeployment.born(rules, store=stores[1], clock=first.clock, seed="second")
    return first, second


async def test_no_verify_after_an_acknowledged_revoke_on_the_other_node_finds_the_session_alive(
    stores: tuple[Store, Store],
) -> None:
    ours, theirs = stores
    sessions = [samples.session() for _ in range(100)]
    await ours.apply(samples.put(*sessions))
    alive: list[Session] = []

    async def end(session: Session) -> None:
        await theirs.revoke([samples.revocation(session)])
        standing = await ours.find_session(DEFAULT_PROJECT, session.id)
        if standing is None or standing.session.revoked_at is None:
            alive.append(session)

    async def keep_asking() -> None:
        while len(ended) < len(sessions):
            await asyncio.gather(*(ours.find_session(DEFAULT_PROJECT, each.id) for each in sessions[:16]))

    ended: list[None] = []
    asking = asyncio.create_task(keep_asking())
    ended.extend(await asyncio.gather(*map(end, sessions)))
    await asking

    assert alive == []


async def test_whatever_a_session_s_life_depends_on_counts_on_the_other_node_at_once(
    stores: tuple[Store, Store],
) -> None:
    ours, theirs = stores
    session = samples.session()
    await ours.apply(samples.put(samples.deployment(), samples.project()))
    await ours.apply(samples.put(samples.subject(), session))
    await ours.find_session(DEFAULT_PROJECT, session.id)
    changed = (
        msgspec.structs.replace(samples.subject(), epoch=99, version=2),
        msgspec.structs.replace(samples.project(), epoch=98, version=2),
        msgspec.structs.replace(samples.deployment(), epoch=97, version=2),
    )

    for record in changed:
        await theirs.apply(samples.put(record))

    standing = await ours.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert (standing.subject, standing.project, standing.deployment) == changed


async def test_of_64_writes_of_one_version_over_both_nodes_one_wins(stores: tuple[Store, Store]) -> None:
    session = samples.session()
    await stores[0].apply(samples.put(session))
    rotated = session.rotated(now=samples.NOW, kid=5)

    outcomes = await asyncio.gather(
        *(stores[n % 2].apply(samples.put(rotated, events=(samples.event(),))) for n in range(64)),
        return_exceptions=True,
    )

    assert outcomes.count(None) == 1
    assert len(await stores[0].events(after=0, limit=9)) == 1


async def test_two_cannot_each_guard_what_the_other_writes(stores: tuple[Store, Store]) -> None:
    """The classic write skew: each of two changes expects a version that the other one raises."""
    pairs = [(samples.session(), samples.session()) for _ in range(40)]
    for pair in pairs:
        await stores[0].apply(samples.put(*pair))

    async def write(store: Store, written: Session, guard: Session) -> None:
        renewed = written.rotated(now=samples.NOW, kid=5)
        expects = {written.key: 1, guard.key: 1}
        await store.apply(Change(partition=samples.PARTITION, expects=expects, puts=[renewed]))

    calls = [
        write(store, *order)
        for left, right in pairs
        for store, order in ((stores[0], (left, right)), (stores[1], (right, left)))
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [outcomes[n : n + 2].count(None) for n in range(0, len(outcomes), 2)] == [1] * len(pairs)


async def test_sequences_rise_in_the_order_of_commits_under_writers_on_both_nodes(
    stores: tuple[Store, Store],
) -> None:
    seen: list[int] = []
    done = False

    async def follow() -> None:
        while True:
            last = done
            after = seen[-1] if seen else 0
            found = await stores[0].events(after=after, limit=1000, partition=samples.PARTITION)
            seen.extend(sequence for sequence, _ in found)
            if last:
                return

    following = asyncio.create_task(follow())
    change = Change(partition=samples.PARTITION, expects={}, events=[samples.event()])
    for _ in range(10):
        await asyncio.gather(*(stores[n % 2].apply(change) for n in range(16)))
    done = True
    await following

    assert len(seen) == 160  # a follower who asks from the last sequence on misses none


async def test_16_refreshes_at_once_over_both_nodes_leave_one_lineage(stores: tuple[Store, Store]) -> None:
    nodes = await nodes_on(stores)
    session = await nodes[0].issue()
    token = nodes[0].refresh_token(session)

    standings = await asyncio.gather(
        *(nodes[n % 2].services.sessions.refresh(token, Form.REFRESH) for n in range(16))
    )

    assert {standing.session.generation for standing in standings} == {1}
    assert len({nodes[n % 2].refresh_token(standing.session) for n, standing in enumerate(standings)}) == 1


async def test_a_session_limit_holds_under_64_creates_over_both_nodes(stores: tuple[Store, Store]) -> None:
    policy = Policy(max_sessions=3, on_limit=OnLimit.DENY)
    nodes = await nodes_on(stores, Rules(policy=policy))

    outcomes = await asyncio.gather(*(nodes[n % 2].issue() for n in range(64)), return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert len(outcomes) - len(refused) == 3
    assert {type(each) for each in refused} == {StateConflict}
    assert len(await stores[0].list_by_subject(DEFAULT_PROJECT, ALICE)) == 3


async def test_two_nodes_that_start_at_once_on_nothing_make_one_deployment(url: str) -> None:
    stores = await asyncio.gather(*(open_store(url, role=Role.SERVER) for _ in range(4)))
    nodes = await asyncio.gather(
        *(TestDeployment.born(store=store, seed=str(n)) for n, store in enumerate(stores))
    )

    assert len({node.services.keys.deployment.install_id for node in nodes}) == 1
    await asyncio.gather(*(store.close() for store in stores))


def test_what_a_command_changes_counts_at_once_in_a_running_server(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """As `tests/histories` shows on the other engines, under load."""
    settings = {"SESSIOND_DATABASE": redis_server.url()}
    with (
        ServerProcess.started(tmp_path, settings=settings) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        born = http.post("/v1/sessions", json={"subject": "alice"}, headers=server.authorization).json()
        mine = {"Authorization": f"Bearer {born['access_token']}"}
        assert http.get("/v1/session", headers=mine).status_code == 200

        done = server.run("sessions", "revoke", born["session"]["id"], "--yes")

        assert done.returncode == 0, done.stderr
        assert http.get("/v1/session", headers=mine).json()["code"] == "session_revoked"


def test_a_second_server_with_the_same_key_serves_the_same_sessions(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As `tests/histories` shows on the other engines, under load."""
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
    settings = {"SESSIOND_DATABASE": redis_server.url(), "SESSIOND_KEY": key}
    with (
        ServerProcess.started(tmp_path_factory.mktemp("one"), settings=settings) as one,
        ServerProcess.started(tmp_path_factory.mktemp("other"), settings=settings) as other,
    ):
        born = httpx.post(
            f"{one.url}/v1/sessions", json={"subject": "alice"}, headers=one.authorization
        ).json()
        mine = {"Authorization": f"Bearer {born['access_token']}"}

        assert httpx.get(f"{other.url}/v1/session", headers=mine).status_code == 200
        assert httpx.delete(f"{other.url}/v1/session", headers=mine).status_code == 204
        assert httpx.get(f"{one.url}/v1/session", headers=mine).status_code == 401
