"""The PostgreSQL engine passes the contract, also behind a pooler, where it has no prepared statements."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.contract import StoreContract
from sessiond.testing.record_contract import RecordContract
from sessiond.testing.session_contract import SessionContract
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgresqlServer


@pytest.fixture(scope="module")
def pooler(postgresql: PostgresqlServer) -> Iterator[PgBouncer]:
    """A pooler before the server of all tests."""
    with PgBouncer.started(postgresql) as pooler:
        yield pooler


class TestPostgresql(StoreContract):
    @pytest.fixture
    async def store(self, postgresql: PostgresqlServer) -> AsyncIterator[Store]:
        store = await open_store(postgresql.url(), role=Role.SERVER)
        yield store
        await store.close()

    async def test_what_several_ask_for_at_once_is_read_and_made_once(self, store: Store) -> None:
        project = samples.project()
        await store.apply(samples.put(project))

        found = await asyncio.gather(*(store.get(project.key) for _ in range(32)))

        assert found[0] == project
        assert len({id(each) for each in found}) == 1


class TestBehindAPooler(RecordContract, SessionContract):
    @pytest.fixture
    async def store(self, pooler: PgBouncer) -> AsyncIterator[Store]:
        store = await open_store(pooler.url(), role=Role.SERVER)
        yield store
        await store.close()
