"""The engines that need no server pass the contract."""

from collections.abc import AsyncIterator

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
