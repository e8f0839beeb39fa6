"""On PostgreSQL, writes in one partition follow each other, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sessiond.domain.errors import Conflict
from sessiond.domain.events import Event
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.server_process import WITHIN_SECONDS
from tests.servers.postgresql import PostgresqlServer

TOLD = "INSERT INTO events VALUES (nextval('event_sequence'), 1, $1, 'pin.set', $2, NULL, NULL, 'us')"

COPIES = """
    INSERT INTO sessions
    SELECT version, last_seen_at, expires_at, generation, seen_generation, partition, NULL,
        substr(id, 1, 8) || int8send(-n), project, subject, NULL, revoked_at, revoked_reason, NULL, NULL, body
    FROM sessions, generate_series(1, $1::integer) AS n WHERE revoked_at IS NOT NULL
"""


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await open_store(url, role=Role.SERVER)
    yield store
    await store.close()


@pytest.fixture
async def writer(postgresql: PostgresqlServer, url: str, store: Store) -> AsyncIterator[asyncpg.Connection]:
    """A node in the middle of a write: it holds the partition of the samples and has not committed."""
    connection = await asyncpg.connect(postgresql.admin_url)
    await connection.execute(f"SET search_path = {url.rpartition('=')[2]}")
    await connection.execute("BEGIN")
    await connection.execute("SELECT lock_partitions($1)", [samples.PARTITION])
    yield connection
    await connection.close()


async def somebody_waits(writer: asyncpg.Connection) -> None:
    """Return once a statement waits for the writer; asking is what passes the time."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    async with asyncio.timeout(WITHIN_SECONDS):
        while not await writer.fetchval(waiting):
            await writer.execute("SELECT pg_stat_clear_snapshot()")


async def test_sequences_rise_in_the_order_of_commits(store: Store, writer: asyncpg.Connection) -> None:
    await writer.execute(TOLD, samples.PARTITION, bytes(16))
    event = samples.event()
    change = Change(partition=samples.PARTITION, expects={}, events=[event])
    writing = asyncio.create_task(store.apply(change))
    await somebody_waits(writer)
    before = await store.events(after=0, limit=9)

    await writer.execute("COMMIT")
    await writing

    assert list(before) == []  # who had seen the second by now would never see the first
    assert [each.by for _, each in await store.events(after=0, limit=9)] == ["us", event.by]


async def test_other_partitions_do_not_wait(store: Store, writer: asyncpg.Connection) -> None:
    elsewhere = samples.session(id=samples.session_id(partition=samples.ELSEWHERE))

    await store.apply(samples.put(elsewhere, events=(samples.event(partition=samples.ELSEWHERE),)))

    assert await store.get(elsewhere.key) == elsewhere


async def test_what_a_change_expects_holds_until_it_is_written(
    store: Store, writer: asyncpg.Connection
) -> None:
    session, guard = samples.session(), samples.tally(a=1)
    expects = {session.key: 0, guard.key: 0}
    change = Change(partition=samples.PARTITION, expects=expects, puts=[session])
    writing = asyncio.create_task(store.apply(change))
    await somebody_waits(writer)
    await writer.execute(
        "INSERT INTO records (version, sorted_at, partition, kind, project, id, body) "
        "VALUES (1, 1, $1, $2, $3, $4, '')",
        samples.PARTITION,
        guard.key.kind,
        uuid.UUID(guard.key.project).bytes,
        guard.key.id,
    )

    await writer.execute("COMMIT")

    with pytest.raises(Conflict):
        await writing
    assert await store.get(session.key) is None


async def test_a_purge_leaves_for_later_what_lies_where_somebody_writes(
    store: Store, writer: asyncpg.Connection
) -> None:
    over = samples.session(id=samples.session_id(partition=samples.ELSEWHERE), expires_at=samples.NOW)
    await store.apply(samples.put(over))
    await writer.execute("SELECT lock_partitions($1)", [samples.ELSEWHERE])
    soon = samples.NOW + 1

    went = await store.purge(ended_before=soon, due_before=soon, limit=9)
    await writer.execute("ROLLBACK")
    went_later = await store.purge(ended_before=soon, due_before=soon, limit=9)

    assert (went, went_later) == (0, 1)


async def test_each_change_of_a_batch_succeeds_or_fails_alone(store: Store) -> None:
    sessions = [samples.session() for _ in range(20)]
    await store.apply(samples.put(*sessions))
    good = [samples.put(each.rotated(now=samples.NOW, kid=5)) for each in sessions]
    stale = [samples.put(samples.session(id=each.id)) for each in sessions]

    outcomes = await asyncio.gather(*map(store.apply, [*good, *stale]), return_exceptions=True)

    assert outcomes[:20] == [None] * 20
    assert [type(outcome) for outcome in outcomes[20:]] == [Conflict] * 20


async def test_a_value_that_cannot_be_stored_spoils_nothing_else(store: Store) -> None:
    fine = [samples.session() for _ in range(9)]
    strange = samples.session(revoked_at=1, revoked_reason="a\0b")

    outcomes = await asyncio.gather(
        *(store.apply(samples.put(each)) for each in (*fine, strange)), return_exceptions=True
    )

    assert outcomes[:9] == [None] * 9
    assert isinstance(outcomes[9], Exception)


async def test_what_is_committed_long_after_later_events_is_told_all_the_same(
    store: Store, writer: asyncpg.Connection
) -> None:
    await writer.execute(TOLD, samples.PARTITION, bytes(16))
    followed, mark = list[tuple[int, Event]](), b""

    async def go_on(partition: Partition) -> None:
        nonlocal mark
        await store.apply(Change.telling(samples.event(partition=partition)))
        told, mark = await store.follow(mark, limit=9)
        followed.extend(told)

    for n in range(6):
        await go_on(Partition(100 + n % 3))
    await writer.execute("COMMIT")
    for _ in range(3):
        await go_on(samples.PARTITION)

    own = [sequence for sequence, event in followed if event.partition == samples.PARTITION]
    assert own == sorted(own)
    assert sorted(followed, key=lambda each: each[0]) == list(await store.events(after=0, limit=99))


async def test_a_mark_stays_short_once_what_was_under_way_has_ended(store: Store) -> None:
    mark = b""
    for n in range(30):
        await store.apply(Change.telling(samples.event(partition=Partition(n))))
        _, mark = await store.follow(mark, limit=9)

    # What ran meanwhile beside us in the database may hold it up, but has ended since.
    async with asyncio.timeout(WITHIN_SECONDS):
        while len(mark) > 10 * 10:
            await store.apply(Change.telling(samples.event()))
            _, mark = await store.follow(mark, limit=9)


async def test_whoever_follows_nodes_that_write_at_once_is_told_everything_once_and_in_order(
    store: Store, url: str
) -> None:
    nodes = [await open_store(url, role=Role.SERVER) for _ in range(3)]

    async def write(node: Store, seed: int) -> None:
        places = [Partition((seed + 7 * n) % 11) for n in range(120)]
        for start in range(0, len(places), 8):
            telling = (Change.telling(samples.event(partition=each)) for each in places[start : start + 8])
            await asyncio.gather(*map(node.apply, telling))

    writing = asyncio.gather(*(write(node, seed) for seed, node in enumerate(nodes)))
    followed, mark, over = list[tuple[int, Event]](), b"", False
    while not over:
        over = writing.done()
        while (page := await store.follow(mark, limit=13))[0]:
            followed += page[0]
            mark = page[1]
    await writing
    for node in nodes:
        await node.close()

    assert sorted(followed, key=lambda each: each[0]) == list(await store.events(after=0, limit=999))
    for place in range(11):
        own = [sequence for sequence, event in followed if event.partition == place]
        assert own == sorted(own)


@pytest.mark.parametrize("ended", [998, 999, 1000])
async def test_a_live_session_is_on_the_page_however_many_newer_ones_have_ended(
    store: Store, postgresql: PostgresqlServer, url: str, ended: int
) -> None:
    oldest, live = samples.session(), samples.session()
    newer = samples.session(created_at=samples.NOW + 1, revoked_at=1, revoked_reason="revoked")
    await store.apply(samples.put(oldest, live, newer))
    connection = await asyncpg.connect(postgresql.admin_url)
    await connection.execute(f"SET search_path = {url.rpartition('=')[2]}")
    await connection.execute(COPIES, ended - 1)
    await connection.close()

    async def page(limit: int) -> list[Session]:
        return list(
            await store.list_by_subject(DEFAULT_PROJECT, live.subject, live_at=samples.NOW, limit=limit)
        )

    pages = await asyncio.gather(*map(page, (1, 2, 3)))
    assert pages == [[live], [live, oldest], [live, oldest]]
