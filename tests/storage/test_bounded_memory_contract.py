"""The contract of sessions holds with a bounded memory, too: within one node it is as strict as without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing.session_contract import SessionContract
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.slow


class TestWithMemory(SessionContract):
    @pytest.fixture(params=("postgresql", "redis_server"))
    async def store(self, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
        server: PostgresqlServer | RedisServer = request.getfixturevalue(request.param)
        store = await open_store(server.url(), role=Role.SERVER, max_staleness=timedelta(seconds=60))
        async with asyncio.timeout(120):
            while (staleness := store.staleness()) is not None and not staleness.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        yield store
        await store.close()

    # A purge takes what has ended, which nobody admits from memory either.
    test_memory_forgets_what_is_deleted_or_purged = None  # type: ignore[assignment]
