"""On PostgreSQL each is looked for by the index that leads to it, whenever the plan for that was made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from sessiond.storage.engines.postgresql.migrations import known_migrations, migrate
from tests.servers.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow

NAMESPACE = "planned"
MOST_BLOCKS = 12
"""Of an index with a hundred, for two pages: each way down it, and a neighbour."""
PROJECT = bytes(16)
KEY = (0, "subject", 7, PROJECT, b"7")
ID = bytes(7) + b"\7" + bytes(8)
SESSION = (0, 7, PROJECT, ID)
ABSENT = (0, "subject", 7, PROJECT, b"absent")
_ONE_SESSION = """
    INSERT INTO sessions VALUES (1, 1, 1, 0, 0, 7, 7, $2, $1, '7', NULL, NULL, NULL, '7', NULL, '')
"""
_MANY_SUBJECTS = """
    INSERT INTO records (version, sorted_at, partition, kind, project, id, body)
    SELECT 1, n, n % 4096, 'subject', $1, n::text::bytea, '{}' FROM generate_series(1, 3000) AS n
"""
_MANY_SESSIONS = """
    INSERT INTO sessions
    SELECT 1, 1, 1, 0, 0, n % 4096, NULL, int4send(n), $1, (n % 500)::text, NULL, NULL, NULL, NULL, NULL, '{}'
    FROM generate_series(1, 10000) AS n
"""
_MANY_BESIDE = """
    INSERT INTO records (version, sorted_at, partition, kind, project, id, body)
    SELECT 1, n, 7, 'subject', $1, 'b' || n::text::bytea, '{}' FROM generate_series(1, 3000) AS n
"""
_BLOCKS = """
    SELECT indexrelid::regclass::text, pg_stat_get_xact_blocks_fetched(indexrelid)
    FROM pg_index WHERE indrelid = $1::text::regclass
"""
_SCANS = """
    SELECT indexrelid::regclass::text, pg_stat_get_xact_numscans(indexrelid)
    FROM pg_index WHERE indrelid = $1::text::regclass
"""


@pytest.fixture
async def connection(postgresql: PostgresqlServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgresql.admin_url)
    await migrate(connection, NAMESPACE, known_migrations())
    await connection.execute(f"SET search_path = {NAMESPACE}")
    yield connection
    await connection.execute(f"DROP SCHEMA {NAMESPACE} CASCADE")
    await connection.close()


async def test_no_record_is_looked_for_among_all_of_its_kind(connection: asyncpg.Connection) -> None:
    await connection.execute(_ONE_SESSION, PROJECT, ID)
    await ask(connection)  # makes the plans while the tables are as good as empty
    await connection.execute(_MANY_SUBJECTS, PROJECT)

    async with connection.transaction():
        await ask(connection)
        scans = dict(await connection.fetch(_SCANS, "records"))

    assert scans.pop("records_pkey") > 0
    assert set(scans.values()) == {0}


async def test_no_session_is_looked_for_among_all_of_its_project(connection: asyncpg.Connection) -> None:
    await connection.execute(_ONE_SESSION, PROJECT, ID)
    await ask(connection)  # makes the plans while the tables are as good as empty
    await connection.execute(_MANY_SESSIONS, PROJECT)

    async with connection.transaction():
        before = dict(await connection.fetch(_BLOCKS, "sessions"))
        await ask(connection)
        after = dict(await connection.fetch(_BLOCKS, "sessions"))

    read = {name: after[name] - before[name] for name in before}
    assert 0 < sum(read.values()) <= MOST_BLOCKS


async def test_no_page_is_looked_for_among_the_sessions_of_others(connection: asyncpg.Connection) -> None:
    pages = [(0, PROJECT, "7", None, None, 99), (1, PROJECT, "8", None, b"\xff", 99)]
    await connection.fetch(
        "SELECT * FROM find_pages_within($1)", pages
    )  # makes the plan while there is nothing
    await connection.execute(_MANY_SESSIONS, PROJECT)

    async with connection.transaction():
        before = dict(await connection.fetch(_BLOCKS, "sessions"))
        found = await connection.fetch("SELECT * FROM find_pages_within($1)", pages)
        after = dict(await connection.fetch(_BLOCKS, "sessions"))

    newest = [(n, 9507 + n - 500 * older) for n in (0, 1) for older in range(20)]
    assert [(row["n"], int.from_bytes(row["id"])) for row in found] == newest
    read = {name: after[name] - before[name] for name in before}
    assert 0 < read.pop("sessions_by_subject") <= MOST_BLOCKS
    assert set(read.values()) == {0}


async def test_a_page_of_a_subject_with_many_ended_sessions_is_left_to_who_waits_alone(
    connection: asyncpg.Connection,
) -> None:
    pages = [(n, PROJECT, str(n), 0, None, 5) for n in range(2)]
    await connection.execute(_MANY_SESSIONS, PROJECT)
    await connection.execute("UPDATE sessions SET subject = '0' WHERE subject <> '1'")
    await connection.execute("UPDATE sessions SET revoked_at = 1 WHERE subject = '0'")

    found = await connection.fetch("SELECT * FROM find_pages_within($1)", pages)

    looked_at = int.from_bytes(found[0]["id"])
    assert [(row["n"], row["unfinished"]) for row in found] == [(0, True), *[(1, False)] * 5]
    assert looked_at == 10000 - 999 - 2  # two of the thousand newest are of the other


async def test_what_is_absent_is_not_looked_for_in_all_of_its_partition(
    connection: asyncpg.Connection,
) -> None:
    put = (0, 1, 1, 7, "subject", PROJECT, b"absent", None, None, None, "{}")
    change: Sequence[object] = ([7], [(*ABSENT, 0)], [], [], [], [put], [], [])
    await connection.execute(_MANY_BESIDE, PROJECT)

    async with connection.transaction():
        before = dict(await connection.fetch(_BLOCKS, "records"))
        found = await connection.fetch("SELECT * FROM find_bodies($1)", [ABSENT])
        refused = await connection.fetchval("SELECT write_changes($1, $2, $3, $4, $5, $6, $7, $8)", *change)
        after = dict(await connection.fetch(_BLOCKS, "records"))

    assert (found, refused) == ([], [])
    assert after["records_pkey"] - before["records_pkey"] <= MOST_BLOCKS


async def ask(connection: asyncpg.Connection) -> None:
    """Find a record, find a session with all that its life depends on, and remove a record, expecting none."""
    assert len(await connection.fetch("SELECT * FROM find_records($1)", [KEY])) == 1
    assert len(await connection.fetch("SELECT * FROM find_bodies($1)", [KEY])) <= 1
    assert len(await connection.fetch("SELECT * FROM find_sessions($1, true)", [SESSION])) == 1
    assert len(await connection.fetch("SELECT * FROM find_standings_of($1)", [(PROJECT, ID)])) == 1
    change: Sequence[object] = ([7], [(*ABSENT, 0)], [], [], [], [], [ABSENT], [])
    assert await connection.fetchval("SELECT write_changes($1, $2, $3, $4, $5, $6, $7, $8)", *change) == []
