"""Lists without a subject on shared engines: nothing behind, and nothing that a verify or a revoke rests on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, PARTITIONS, Partition
from sessiond.domain.records import Kind
from sessiond.domain.sessions import Session
from sessiond.services.ports import Selection, Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer

pytestmark = pytest.mark.slow

SPREAD = [Partition(n) for n in range(0, PARTITIONS, PARTITIONS // 8)]
ALL = Selection(kind=Kind.SESSION, project=DEFAULT_PROJECT)


@pytest.fixture(params=("postgresql", "redis_server", "redis_cluster"))
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    server: PostgresqlServer | RedisServer | RedisCluster = request.getfixturevalue(request.param)
    url = server.url()
    first, second = [await open_store(url, role=Role.SERVER) for _ in range(2)]
    yield first, second
    await first.close()
    await second.close()


def spread() -> list[Session]:
    return [samples.session(id=samples.session_id(samples.NOW, partition)) for partition in SPREAD]


async def test_a_list_of_all_sessions_shows_at_once_what_another_node_wrote(
    stores: tuple[Store, Store],
) -> None:
    here, there = stores
    listed: set[bytes] = set()
    for session in spread():
        await there.apply(samples.put(session))
        listed.add(session.id)
        assert {each.key.id for each in await here.scan(ALL, limit=100)} == listed
        assert await here.count(ALL) == len(listed)

    for record in await here.scan(ALL, limit=100):
        assert isinstance(record, Session)
        await there.revoke([samples.revocation(record)])
    assert all(
        isinstance(each, Session) and each.revoked_at is not None for each in await here.scan(ALL, limit=100)
    )


async def test_on_redis_verify_and_revoke_need_no_index(redis_server: RedisServer) -> None:
    url = redis_server.url("indexless")
    store = await open_store(url, role=Role.SERVER)
    layout = Layout("indexless")
    session = samples.session()
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject(), session))

    for name in (layout[samples.PARTITION].entries, layout[samples.PARTITION].going):
        redis_server.ask("DEL", name)
    redis_server.ask("DEL", layout.of_control(b"directory"))

    assert list(await store.scan(ALL, limit=9)) == []
    standing = await store.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert standing.session == session
    (ended,) = await store.revoke([samples.revocation(session)])
    assert ended is not None
    assert ended.revoked_at is not None
    standing = await store.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert standing.session.revoked_at is not None
    await store.close()
