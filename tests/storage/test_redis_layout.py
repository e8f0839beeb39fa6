"""How records lie in Redis: one hash tag for a partition, lives that end by themselves but never too soon."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, PARTITIONS, Partition
from sessiond.domain.records import Kind
from sessiond.services.ports import Change, Selection, Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis.layout import (
    Layout,
    record_from,
    record_value,
    session_from,
    session_value,
)
from sessiond.storage.engines.redis.operations import RETENTION_MS
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import ALICE, HOUR, NOW
from tests.servers.redis import RedisCluster, RedisServer

NAMESPACE = "layout"


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[Store]:
    store = await open_store(redis_server.url(NAMESPACE), role=Role.SERVER)
    yield store
    await store.close()
    for key in keys_of(redis_server):
        redis_server.ask("DEL", key)


def keys_of(server: RedisServer) -> list[bytes]:
    keys: list[bytes] = server.ask("KEYS", f"*{NAMESPACE}*")
    return keys


def test_all_keys_of_a_partition_lie_in_one_slot_and_partitions_in_nearly_as_many() -> None:
    layout = Layout(NAMESPACE)
    slots = {keys.slot for keys in layout.partitions}

    assert len(layout.partitions) == PARTITIONS
    assert len(slots) > PARTITIONS * 0.8
    for n in (0, 7, 4095):
        keys = layout[Partition(n)]
        tag = b"{layout:%03x}:" % n
        assert all(key.startswith(tag) for key in (*keys.of_a_write, keys.sessions))


def test_a_value_is_read_back_as_it_was() -> None:
    for session in (samples.session(), samples.full_session()):
        assert session_from(session_value(session)) == session
    for record in (samples.subject(), samples.deployment(), samples.tally(a=1)):
        assert record_from(record.kind, record_value(record)) == record


async def test_slots_are_those_that_redis_computes(redis_cluster: RedisCluster) -> None:
    layout = Layout(NAMESPACE)

    for n in (0, 1, 2748, 4095):
        keys = layout[Partition(n)]
        assert redis_cluster.nodes[0].ask("CLUSTER", "KEYSLOT", keys.records) == keys.slot


async def test_a_session_s_key_outlives_its_absolute_limit_by_more_than_any_purge_waits(
    redis_server: RedisServer, store: Store
) -> None:
    session = samples.session(expires_at=NOW + 5 * HOUR)
    key = Layout(NAMESPACE).session(samples.PARTITION, DEFAULT_PROJECT, session.id)

    def left() -> int:
        milliseconds: int = redis_server.ask("PTTL", key)
        return milliseconds

    await store.apply(samples.put(session))
    assert RETENTION_MS + 4 * HOUR < left() <= RETENTION_MS + 5 * HOUR
    await store.apply(samples.put(session.rotated(now=NOW + HOUR, kid=3)))
    assert RETENTION_MS + 3 * HOUR < left() <= RETENTION_MS + 4 * HOUR
    await store.revoke([samples.revocation(session)])
    assert RETENTION_MS + 3 * HOUR < left() <= RETENTION_MS + 4 * HOUR


async def test_a_session_that_left_by_itself_is_absent_everywhere_and_its_traces_go(
    redis_server: RedisServer, store: Store
) -> None:
    gone, stays = samples.session(expires_at=NOW - HOUR), samples.session()
    await store.apply(samples.put(gone, stays))
    redis_server.ask("DEL", Layout(NAMESPACE).session(samples.PARTITION, DEFAULT_PROJECT, gone.id))

    assert await store.find_session(DEFAULT_PROJECT, gone.id) is None
    assert await store.list_by_subject(DEFAULT_PROJECT, ALICE) == [stays]
    assert await store.scan(Selection(kind=Kind.SESSION), limit=1) == [stays]
    assert await store.revoke([samples.revocation(gone)]) == [None]
    assert await store.purge(ended_before=NOW, due_before=NOW, limit=9) == 0
    assert await store.count(Selection(kind=Kind.SESSION)) == 1


async def test_a_purge_leaves_nothing_behind(redis_server: RedisServer, store: Store) -> None:
    session, tally = samples.session(expires_at=NOW - 1), samples.tally(a=NOW - 1)
    await store.apply(samples.put(session, tally, events=(samples.event(),)))

    await store.purge(ended_before=NOW, due_before=NOW, limit=9)
    await store.purge_events(before=NOW + 1, limit=9)

    names = {key.rpartition(b"}:")[2] for key in keys_of(redis_server)}
    assert names == {b"r", b"control:directory"}  # the last sequence, and which partitions may hold something


async def test_a_guard_in_another_partition_is_a_value_error(store: Store) -> None:
    alice, foreign = samples.subject(), samples.subject(partition=samples.ELSEWHERE)

    with pytest.raises(ValueError, match="partition"):
        await store.apply(
            Change(partition=samples.PARTITION, expects={alice.key: 0, foreign.key: 0}, puts=[alice])
        )


async def test_lists_of_a_known_partition_look_only_there(store: Store) -> None:
    here = samples.session(id=samples.session_id(NOW, Partition(1)))
    there = samples.session(id=samples.session_id(NOW, Partition(2)))
    await store.apply(samples.put(here))
    await store.apply(samples.put(there))

    found = await store.list_by_subject(DEFAULT_PROJECT, ALICE, partition=Partition(1))
    selection = Selection(kind=Kind.SESSION, project=DEFAULT_PROJECT, partition=Partition(2))

    assert found == [here]
    assert await store.scan(selection, limit=9) == [there]
    assert await store.count(selection) == 1
    assert await store.list_by_subject(DEFAULT_PROJECT, ALICE) == [there, here]


async def test_a_scan_merges_many_partitions_in_one_order_and_pages_through_them(store: Store) -> None:
    newest_first = [
        samples.session(created_at=NOW - n, id=samples.session_id(NOW - n, Partition(n * 37 % PARTITIONS)))
        for n in range(150)
    ]
    for session in newest_first[::-1]:
        await store.apply(samples.put(session))
    everything = Selection(kind=Kind.SESSION, project=DEFAULT_PROJECT)

    assert await store.scan(everything, limit=999) == newest_first
    assert await store.scan(everything, limit=7, offset=100) == newest_first[100:107]
    assert await store.count(everything) == len(newest_first)
