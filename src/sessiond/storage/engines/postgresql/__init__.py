"""The PostgreSQL engine: any number of nodes on one primary. `postgresql://user@host/database?namespace=name`."""

from __future__ import annotations

import time
from datetime import timedelta

import asyncpg

from sessiond.domain.errors import Misconfigured
from sessiond.domain.freshness import STRICT
from sessiond.services.movable import MovableStore
from sessiond.storage.bounded_memory import BoundedMemory, Monotonic
from sessiond.storage.engine import Role
from sessiond.storage.engines.postgresql.connections import connect
from sessiond.storage.engines.postgresql.engine import PostgresqlStore
from sessiond.storage.engines.postgresql.failures import FAILURES, meaning
from sessiond.storage.engines.postgresql.migrations import known_migrations, migrate
from sessiond.storage.engines.postgresql.url import parse_url

SHARED = True


async def open_store(
    url: str,
    *,
    role: Role,
    cache_records: int = 100_000,
    max_staleness: timedelta = STRICT,
    monotonic: Monotonic = time.monotonic,
) -> MovableStore:
    """Open the namespace that *url* names, and make it if there is none.

    A server keeps standings in memory where *max_staleness*, measured by *monotonic*, allows that.

    Raises `Misconfigured` when the URL cannot be used, the server is not reached or is a standby, or what lies in the
    namespace is not ours or newer than we are.
    """
    address = parse_url(url)
    remembers = role is Role.SERVER and cache_records > 0 and max_staleness > STRICT
    if remembers and not address.prepared:
        raise Misconfigured(
            "cache.max_staleness needs LISTEN, which PgBouncer's transaction mode does not have: name the database "
            "itself in the URL, without prepared=false, or leave cache.max_staleness at 0"
        )
    try:
        connection = await connect(address)
        try:
            await migrate(connection, address.namespace, known_migrations())
        finally:
            connection.terminate()
    except asyncpg.ClientConfigurationError:
        raise Misconfigured(
            "the PostgreSQL URL, or a PG… variable or file beside it, cannot be used"
        ) from None
    except FAILURES as error:
        raise Misconfigured(f"the database cannot be opened: {meaning(error)}") from error
    memory = None
    if remembers:
        bound = max_staleness.total_seconds()
        memory = BoundedMemory(cache_records, bound=bound, tells_all=True, monotonic=monotonic)
    return PostgresqlStore(address, memory)
