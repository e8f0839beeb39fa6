"""Migrations run beside nodes that work: none does anything whose time depends on how many rows there are."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from sessiond.storage.engines.postgresql.migrations import known_migrations, migrate
from tests.servers.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow

ROWS = 3000
_FILES = (
    "SELECT relname, relfilenode FROM pg_class "
    "WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'i')"
)
_READ = (
    "SELECT sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables "
    "WHERE schemaname = $1 AND relname IN ('sessions', 'records', 'events')"
)
_FILL = """
    SET search_path = NAMESPACE;
    INSERT INTO sessions
    SELECT 1, 1, 1, 0, 0, n % 4096, NULL, uuid_send(gen_random_uuid()), '', n::text, NULL, NULL, NULL, NULL, NULL, ''
    FROM generate_series(1, 3000) AS n;
    INSERT INTO records (version, sorted_at, partition, kind, project, id, body)
    SELECT 1, 1, n % 4096, 'subject', '', int4send(n), '{}' FROM generate_series(1, 3000) AS n;
    INSERT INTO events SELECT n, 1, n % 4096, 't', '', NULL, NULL, 'b', NULL FROM generate_series(1, 3000) AS n;
"""


@pytest.fixture
async def connection(postgresql: PostgresqlServer) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(postgresql.admin_url)
    yield connection
    await connection.close()


async def test_no_migration_reads_rewrites_or_indexes_the_rows_that_are_there(
    connection: asyncpg.Connection,
) -> None:
    known, namespace = known_migrations(), "migrated"
    await migrate(connection, namespace, known[:2])
    await connection.execute(_FILL.replace("NAMESPACE", namespace))
    before = dict(await connection.fetch(_FILES, namespace))

    async with connection.transaction():
        await migrate(connection, namespace, known)
        rows_read = await connection.fetchval(_READ, namespace)

    after = dict(await connection.fetch(_FILES, namespace))
    old_tables = {"sessions", "records", "events", "partition_locks", "purged_events"}
    assert {name: after.get(name) for name in before} == before
    assert rows_read == 0
    assert (
        not {
            row[0]
            for row in await connection.fetch(
                "SELECT indexname FROM pg_indexes WHERE schemaname = $1 AND tablename = ANY ($2)",
                namespace,
                list(old_tables),
            )
        }
        - before.keys()
    )


async def test_this_would_notice_an_index_on_what_is_there(connection: asyncpg.Connection) -> None:
    known = [*known_migrations(), (9000, "CREATE INDEX late ON sessions (subject)")]
    namespace = "indexed"
    await migrate(connection, namespace, known[:2])
    await connection.execute(_FILL.replace("NAMESPACE", namespace))

    async with connection.transaction():
        await migrate(connection, namespace, known)
        rows_read = await connection.fetchval(_READ, namespace)

    assert rows_read >= ROWS
