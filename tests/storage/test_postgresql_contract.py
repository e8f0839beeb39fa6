"""The PostgreSQL engine passes the contract, with prepared statements and, as behind a pooler, without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing.contract import StoreContract
from tests.servers.postgresql import PostgresqlServer


class TestPostgresql(StoreContract):
    @pytest.fixture
    async def store(self, postgresql: PostgresqlServer) -> AsyncIterator[Store]:
        store = await open_store(postgresql.url(), role=Role.SERVER)
        yield store
        await store.close()
