"""The engines that need no server pass the contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing.contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = await open_store("memory://", role=Role.SERVER)
        yield store
        await store.close()


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = await open_store(f"sqlite:///{tmp_path}/data/sessiond.db", role=Role.SERVER)
        yield store
        await store.close()


class TestSqliteBesideAServer(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        url = f"sqlite:///{tmp_path}/sessiond.db"
        server = await open_store(url, role=Role.SERVER)
        tool = await open_store(url, role=Role.TOOL)
        yield tool
        await tool.close()
        await server.close()
