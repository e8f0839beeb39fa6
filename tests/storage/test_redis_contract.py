"""The Redis engine passes the contract, on a single server and on a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing.contract import StoreContract
from tests.servers.redis import RedisCluster, RedisServer


class TestRedis(StoreContract):
    @pytest.fixture
    async def store(self, redis_server: RedisServer) -> AsyncIterator[Store]:
        store = await open_store(redis_server.url(), role=Role.SERVER)
        yield store
        await store.close()


class TestRedisCluster(StoreContract):
    @pytest.fixture
    async def store(self, redis_cluster: RedisCluster) -> AsyncIterator[Store]:
        store = await open_store(redis_cluster.url(), role=Role.SERVER)
        yield store
        await store.close()
