"""What fails around one Redis server: kills, hangs, an emptied database, no memory left. It is found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.services.ports import Store
from sessiond.storage.batching import LARGEST_BATCH
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis import nodes, sending
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.servers.patience import be_patient, patience
from tests.servers.redis import RedisServer
from tests.storage.load import put_once_it_answers

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A single server that a test may harm."""
    with RedisServer.started() as server:
        yield server


@pytest.fixture
async def store(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    with patience(monkeypatch):
        store = await open_store(server.url(), role=Role.SERVER)
    yield store
    await store.close()


def connections(server: RedisServer) -> int:
    """Return how many connections the server has ever taken, this one too."""
    told: dict[str, int] = server.ask("INFO", "stats")
    return told["total_connections_received"]


async def test_a_number_of_replicas_that_is_told_is_waited_for_whatever_is_attached(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAIT_MILLISECONDS", 100)
    store = await open_store(redis_server.url(wait="1"), role=Role.SERVER)

    with pytest.raises(Unavailable, match="replicas did not confirm"):
        await store.apply(samples.put(samples.session()))

    await store.close()


async def test_a_server_that_is_killed_and_started_again_has_all_and_is_found_again(
    server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [samples.session() for _ in range(50)]
    with patience(monkeypatch):
        await store.apply(samples.put(*sessions))
        await store.revoke([samples.revocation(session) for session in sessions[:25]])

    await asyncio.to_thread(server.kill)
    for call in (
        store.find_session(DEFAULT_PROJECT, sessions[0].id),
        store.apply(samples.put(samples.subject())),
    ):
        with pytest.raises(Unavailable):
            await call
    await asyncio.to_thread(server.start)

    await put_once_it_answers(store, samples.session())
    be_patient(monkeypatch)
    found = [await store.find_session(DEFAULT_PROJECT, session.id) for session in sessions]
    assert [each is not None and each.session.revoked_at is None for each in found] == [False] * 25 + [
        True
    ] * 25


async def test_a_server_that_hangs_is_not_waited_for_long(
    server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with patience(monkeypatch):
        await store.apply(samples.put(samples.session()))
    server.pause()

    outcomes = await asyncio.gather(
        store.find_session(DEFAULT_PROJECT, samples.session().id),
        store.revoke([samples.revocation(samples.session())]),
        store.newest_event(),
        return_exceptions=True,
    )

    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    server.resume()
    await put_once_it_answers(store, samples.session())


async def test_however_many_wait_for_a_server_that_hangs_it_is_tried_once_for_all_of_them(
    server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch of them tried for itself, one after the other: a thousand were told after twenty seconds."""
    monkeypatch.setattr(nodes, "LEFT_ALONE_SECONDS", 120.0)
    with patience(monkeypatch):
        await store.apply(samples.put(samples.session()))
    before = connections(server)
    server.pause()

    outcomes = await asyncio.gather(
        *(store.revoke([samples.revocation(samples.session())]) for _ in range(4 * LARGEST_BATCH)),
        return_exceptions=True,
    )

    server.resume()
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert connections(server) - before == 2  # the second one is that which asks


@pytest.mark.usefixtures("patient")
async def test_scripts_that_a_server_has_forgotten_are_taught_again(
    server: RedisServer, store: Store
) -> None:
    session = samples.session()
    server.ask("SCRIPT", "FLUSH")
    await store.apply(samples.put(session))
    server.ask("SCRIPT", "FLUSH")
    assert await store.find_session(DEFAULT_PROJECT, session.id) is not None


@pytest.mark.usefixtures("patient")
async def test_an_emptied_database_has_no_session_alive(server: RedisServer, store: Store) -> None:
    session = samples.session()
    await store.apply(samples.put(samples.deployment(), samples.project()))
    await store.apply(samples.put(samples.subject(), session))
    assert await store.find_session(DEFAULT_PROJECT, session.id) is not None

    server.ask("FLUSHALL")

    assert await store.find_session(DEFAULT_PROJECT, session.id) is None
    await store.apply(samples.put(session))
    standing = await store.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert (standing.deployment, standing.project, standing.subject) == (None, None, None)


@pytest.mark.usefixtures("patient")
async def test_a_server_that_may_no_longer_write_refuses_and_what_is_there_stays_readable(
    server: RedisServer, store: Store
) -> None:
    session = samples.session()
    await store.apply(samples.put(session))

    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    with pytest.raises(Unavailable, match="too few replicas"):
        await store.revoke([samples.revocation(session)])
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    server.ask("CONFIG", "SET", "maxmemory", "1")
    with pytest.raises(Unavailable, match="no memory left"):
        await store.apply(samples.put(samples.session()))

    assert await store.find_session(DEFAULT_PROJECT, session.id) is not None
    server.ask("CONFIG", "SET", "maxmemory", "0")
    await store.revoke([samples.revocation(session)])
