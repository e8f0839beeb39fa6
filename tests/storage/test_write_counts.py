"""What writes cost a disk and a network, counted and never timed: syncs, bytes, round trips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.deployment import TestDeployment
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisServer
from tests.servers.relay import Relay
from tests.tracing import trace_statements

CREATES = 100
AT_ONCE = 32
MOST_BYTES = 4_500


async def create_by_many(deployment: TestDeployment) -> list[Session]:
    """Create sessions of as many subjects, by clients each of which waits for its answer."""
    numbers = iter(range(CREATES))
    made: list[Session] = []

    async def client() -> None:
        made.extend([await deployment.issue(SubjectId(f"user-{number}")) for number in numbers])

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    assert len(made) == CREATES
    return made


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every statement is added that a connection of the SQLite engine runs."""
    ran: list[str] = []
    trace_statements(monkeypatch, ran.append)
    return ran


@pytest.fixture
async def on_sqlite(tmp_path: Path, statements: list[str]) -> AsyncIterator[TestDeployment]:
    store = await open_store(f"sqlite:///{tmp_path}/sessiond.db", role=Role.SERVER)
    deployment = await TestDeployment.born(store=store)
    yield deployment
    await store.close()


async def test_a_hundred_creates_by_32_at_once_are_at_most_twelve_syncs(
    on_sqlite: TestDeployment, statements: list[str]
) -> None:
    statements.clear()

    await create_by_many(on_sqlite)

    # With synchronous=FULL a commit is one sync of the write-ahead log, and nothing else is.
    assert statements.count("COMMIT") <= 12
    assert "COMMIT" in statements


async def test_a_create_writes_so_many_bytes_and_no_more(on_sqlite: TestDeployment, tmp_path: Path) -> None:
    log = tmp_path / "sessiond.db-wal"
    before = log.stat().st_size

    await create_by_many(on_sqlite)

    # A page of 4 KiB for each random place, shared by the creates of a batch as far as they fall into one.
    assert 0 < log.stat().st_size - before <= CREATES * MOST_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("engine_name", ["postgresql", "redis_server"])
async def test_what_waits_together_goes_in_one_round_trip(
    engine_name: str, request: pytest.FixtureRequest
) -> None:
    server: PostgresqlServer | RedisServer = request.getfixturevalue(engine_name)
    async with Relay.before(server.url()) as relay:
        store = await open_store(relay.url, role=Role.SERVER)
        deployment = await TestDeployment.born(store=store)
        sessions = await create_together(deployment, "first")
        await verify_together(store, sessions)

        creates = await relay.turns_of(create_together(deployment, "second"))
        verifies = await relay.turns_of(verify_together(store, sessions))
        lists = await relay.turns_of(list_together(store, sessions))
        await store.close()

    # What the creates stand on is read at once, then they are written at once: two round trips, and some more where
    # answers come in pieces. One each would be 64.
    assert creates <= 16
    assert verifies <= 4
    assert lists <= 12


async def create_together(deployment: TestDeployment, name: str) -> list[Session]:
    return await asyncio.gather(*(deployment.issue(SubjectId(f"{name}-{n}")) for n in range(AT_ONCE)))


async def list_together(store: Store, sessions: Sequence[Session]) -> None:
    pages = [store.list_by_subject(DEFAULT_PROJECT, each.subject, limit=10) for each in sessions]
    assert [page[0].id for page in await asyncio.gather(*pages)] == [each.id for each in sessions]


async def verify_together(store: Store, sessions: Sequence[Session]) -> None:
    found = await asyncio.gather(*(store.find_session(DEFAULT_PROJECT, each.id) for each in sessions))
    assert None not in found
