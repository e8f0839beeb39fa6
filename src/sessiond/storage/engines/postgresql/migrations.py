"""Bringing a namespace to the newest schema, by the numbered files in `schema/`. What is not ours is left alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources

import asyncpg

from sessiond.domain.errors import Misconfigured

OLDEST_SERVER = 14  # what reports whether it is a standby
LOCK_SECONDS = 30
TABLE_LOCK_SECONDS = 1

Migrations = Sequence[tuple[int, str]]


def known_migrations() -> Migrations:
    """Return the numbered migrations with their SQL, in order."""
    folder = resources.files(__package__) / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name[:4].isdecimal())
    return [(int(name[:4]), (folder / name).read_text()) for name in names]


async def migrate(connection: asyncpg.Connection, namespace: str, known: Migrations) -> None:
    """Bring *namespace* to the newest schema, in one transaction that nodes which start at once wait for.

    It may be run while other nodes work: migrations only add, and none may wait long for a table, as everybody who
    wants that table then waits behind it. Raises `Misconfigured` when what is there is not ours or newer than we are.
    """
    if connection.get_server_version().major < OLDEST_SERVER:
        raise Misconfigured("the PostgreSQL server is older than version 14; a newer one is needed")
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise Misconfigured(f"the database has the encoding {encoding}; make one with ENCODING 'UTF8'")
    isolation = await connection.fetchval("SHOW default_transaction_isolation")
    if isolation != "read committed":
        # A write must see what was committed while it waited for its partitions; others would overlook it.
        raise Misconfigured(
            f"transactions of the database are {isolation} for its user; "
            "ALTER ROLE … SET default_transaction_isolation = 'read committed'"
        )
    newest = known[-1][0]
    if await _version(connection, namespace, newest) == newest:
        return
    execute = functools.partial(connection.execute, timeout=LOCK_SECONDS + 1)
    async with connection.transaction():
        await execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        await execute(f"SET LOCAL statement_timeout = '{LOCK_SECONDS}s'")
        await execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"sessiond {namespace}")
        version = await _version(connection, namespace, newest)  # again: another node may have been faster
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", namespace
        ):
            await execute(f'CREATE SCHEMA "{namespace}"')
        await execute(f'SET LOCAL search_path = "{namespace}", pg_temp')
        await execute(f"SET LOCAL lock_timeout = '{TABLE_LOCK_SECONDS}s'")
        await execute("CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY)")
        for number, script in known:
            if number > version:
                await execute(script)
                await execute("INSERT INTO migrations VALUES ($1)", number)


async def _version(connection: asyncpg.Connection, namespace: str, newest: int) -> int:
    """Return the number of the last migration that ran here, 0 for an absent or empty schema."""
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)",
        namespace,
    )
    names = {row[0] for row in tables}
    if not names:
        return 0
    if not {"migrations", "partition_locks", "purged_events"} <= names:
        raise Misconfigured(
            f"the schema {namespace} holds tables that are not sessiond's; name another namespace"
        )
    version = await connection.fetchval(f'SELECT max(number) FROM "{namespace}".migrations')  # noqa: S608
    if version > newest:
        raise Misconfigured(
            f"the namespace {namespace} was written by a newer sessiond (schema {version}, this one knows {newest}); "
            "upgrade sessiond"
        )
    return int(version)
