"""What fails in a Redis Cluster: kills, hangs, moves, replicas that are gone. No acknowledged revoke is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.sessions import Session, Standing
from sessiond.services.ports import Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis import sending
from sessiond.storage.engines.redis.address import Address, parse_url
from sessiond.storage.engines.redis.calls import Caller
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import NOW
from tests.server_process import WITHIN_SECONDS
from tests.servers.patience import be_patient, patience
from tests.servers.redis import RedisCluster
from tests.storage.load import SPREAD, Load, put_once_it_answers, until_all_answer

pytestmark = pytest.mark.slow

Stores = tuple[Store, Store]


@pytest.fixture(scope="module")
def harmed() -> Iterator[RedisCluster]:
    """A cluster that these tests may harm."""
    with RedisCluster.started() as cluster:
        yield cluster


@pytest.fixture
def cluster(harmed: RedisCluster) -> Iterator[RedisCluster]:
    yield harmed
    harmed.mend()


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> Layout:
    """Where the keys of a test lie: in a namespace of its own."""
    return Layout(_namespace(request))


def _namespace(request: pytest.FixtureRequest) -> str:
    return hashlib.sha256(request.node.name.encode()).hexdigest()[:16]


@pytest.fixture
async def stores(
    cluster: RedisCluster, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stores]:
    url = cluster.url(_namespace(request))
    with patience(monkeypatch):
        first, second = [await open_store(url, role=Role.SERVER) for _ in range(2)]
    yield first, second
    await first.close()
    await second.close()


@contextlib.asynccontextmanager
async def under_load(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Load]:
    """Have the stores under load before, meanwhile and afterwards; of what was acknowledged nothing may be lost."""
    load = Load(stores)
    load.begin()
    await load.until(200)
    yield load
    await load.until(200)
    await load.end()
    be_patient(monkeypatch)
    await load.check()


async def test_a_master_that_is_killed_under_load_takes_no_acknowledged_write_with_it(
    cluster: RedisCluster, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with under_load(stores, monkeypatch):
        cluster.let_masters_be_replaced()
        await asyncio.to_thread(cluster.masters()[0].kill)
        await until_all_answer(stores)


async def test_a_master_that_hangs_under_load_is_replaced_and_loses_nothing(
    cluster: RedisCluster, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with under_load(stores, monkeypatch) as load:
        hanging = cluster.masters()[0]
        cluster.let_masters_be_replaced()
        hanging.pause()
        await until_all_answer(stores)
        await load.until(200)
        hanging.resume()
        await asyncio.to_thread(cluster.wait_until_whole)


async def test_a_read_of_a_master_that_hangs_is_asked_of_its_heir_once_that_is_known(
    cluster: RedisCluster, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_patient(monkeypatch)
    home = layout[samples.PARTITION]
    hanging = cluster.master_of(home.slot)
    (heir,) = cluster.replicas_of(hanging)
    nodes = Nodes(parse_url(cluster.url()))
    await nodes.open()
    read = [Call(home.slot, ("HMGET", home.records, b"absent"))]
    await Caller(nodes).call(read, Lane.READ)

    cluster.let_masters_be_replaced()
    hanging.pause()
    waiting = asyncio.create_task(Caller(nodes).call(read, Lane.READ))
    await asyncio.to_thread(cluster.until_master, heir)
    async with asyncio.timeout(WITHIN_SECONDS / 2):
        while nodes.address_of(home.slot).port != heir.port:
            await nodes.refresh(doubted=Address("127.0.0.1", hanging.port))
        assert await waiting == [[None]]
    await nodes.close()


async def test_when_the_server_that_tells_of_changes_is_killed_memory_is_silent_until_the_next_one_does(
    cluster: RedisCluster,
    stores: Stores,
    layout: Layout,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = cluster.url(_namespace(request))
    session = samples.session()
    with patience(monkeypatch):
        store = await open_store(url, role=Role.SERVER, max_staleness=timedelta(seconds=60))
        await stores[0].apply(samples.put(samples.project(), samples.deployment()))
        await stores[0].apply(samples.put(samples.subject(), session))
        await until_heard(store, heard=True)
        await store.find_session(DEFAULT_PROJECT, session.id)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is not None

    cluster.let_masters_be_replaced()
    await asyncio.to_thread(cluster.master_of(layout[CONTROL_PARTITION].slot).kill)
    await until_heard(store, heard=False)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is None
    await until_heard(store, heard=True)

    await until_all_answer((store,))
    be_patient(monkeypatch)
    await store.find_session(DEFAULT_PROJECT, session.id)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is not None
    await store.close()


async def until_heard(store: Store, *, heard: bool) -> None:
    """Return once the change feed is heard, or is not."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while (staleness := store.staleness()) is None or staleness.heard is not heard:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.usefixtures("patient")
async def test_a_slot_can_be_moved_under_load_without_a_refusal(
    cluster: RedisCluster, stores: Stores, layout: Layout
) -> None:
    here, there = stores
    partition = SPREAD[5]
    slot = layout[partition].slot
    kept = [samples.session(id=samples.session_id(NOW, partition)) for _ in range(20)]
    await here.apply(samples.put(*kept))
    target = next(node for node in cluster.masters() if node is not cluster.master_of(slot))
    moving = asyncio.create_task(asyncio.to_thread(cluster.move, slot, target, between_keys=[0.01] * 20))
    born: list[Session] = []

    while not moving.done():
        session = samples.session(id=samples.session_id(NOW, partition))
        await here.apply(samples.put(session))
        born.append(session)
        for each in (*kept[:3], session):
            assert await there.find_session(DEFAULT_PROJECT, each.id) is not None
    await moving
    revoked = await there.revoke([samples.revocation(each) for each in (*kept, *born)])

    assert cluster.master_of(slot) is target
    assert None not in revoked
    for each in (*kept, *born):
        standing = await here.find_session(DEFAULT_PROJECT, each.id)
        assert standing is not None
        assert standing.session.revoked_at is not None


@pytest.mark.usefixtures("patient")
async def test_what_waits_for_a_slot_that_is_moved_holds_up_nothing_else(
    cluster: RedisCluster, stores: Stores, layout: Layout
) -> None:
    store, _ = stores
    partition = SPREAD[5]
    slot = layout[partition].slot
    source = cluster.master_of(slot)
    neighbour = next(
        each for each in SPREAD if each != partition and cluster.master_of(layout[each].slot) is source
    )
    near = samples.session(id=samples.session_id(NOW, neighbour))
    moved, waits = [samples.session(id=samples.session_id(NOW, partition)) for _ in range(2)]
    await store.apply(samples.put(near))
    await store.apply(samples.put(moved))
    target = next(node for node in cluster.masters() if node is not source)

    cluster.begin_move(slot, target)
    waiting = asyncio.create_task(store.apply(samples.put(waits)))
    for _ in range(5):
        assert await store.find_session(DEFAULT_PROJECT, near.id) is not None
        await store.touch([Touch(project=DEFAULT_PROJECT, session=near.id, seen_at=NOW + 1, generation=0)])
    has_waited = not waiting.done()
    await asyncio.to_thread(cluster.move, slot, target)
    await waiting

    assert has_waited
    assert await store.get_many([moved.key, waits.key]) == [moved, waits]


@pytest.mark.usefixtures("patient")
async def test_verifies_in_several_projects_that_wait_for_a_busy_server_are_all_answered(
    cluster: RedisCluster, stores: Stores, layout: Layout
) -> None:
    store, _ = stores
    home = cluster.master_of(layout[CONTROL_PARTITION].slot)
    away = next(each for each in SPREAD if cluster.master_of(layout[each].slot) is not home)
    busy = cluster.master_of(layout[away].slot)
    session = samples.session(id=samples.session_id(NOW, away))
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(session))
    verifies: list[asyncio.Task[Standing | None]] = []

    busy.pause()
    for project in (DEFAULT_PROJECT, DEFAULT_PROJECT, ProjectId("11111111-1111-4111-8111-111111111111")):
        verifies.append(asyncio.create_task(store.find_session(project, session.id)))
        await store.get(samples.deployment().key)  # what is asked of the other server is answered meanwhile
    busy.resume()
    found = [await verify for verify in verifies]

    assert [each is not None and each.session == session for each in found] == [True, True, False]


@pytest.mark.usefixtures("patient")
async def test_a_write_that_the_replica_does_not_confirm_is_not_acknowledged(
    cluster: RedisCluster, stores: Stores, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = samples.session()
    master = cluster.master_of(layout[samples.PARTITION].slot)
    (replica,) = cluster.replicas_of(master)
    await stores[0].apply(samples.put(session))

    replica.pause()
    with monkeypatch.context() as hurried:
        hurried.setattr(sending, "WAIT_MILLISECONDS", 100)
        with pytest.raises(Unavailable, match="replicas did not confirm"):
            await stores[0].revoke([samples.revocation(session)])
    replica.resume()

    assert await stores[0].revoke([samples.revocation(session)]) != [None]


async def test_a_replica_that_is_gone_is_not_waited_for(
    cluster: RedisCluster, stores: Stores, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = samples.session()
    (replica,) = cluster.replicas_of(cluster.master_of(layout[samples.PARTITION].slot))

    await asyncio.to_thread(replica.kill)

    await put_once_it_answers(stores[0], session)
    be_patient(monkeypatch)
    assert await stores[1].find_session(DEFAULT_PROJECT, session.id) is not None
