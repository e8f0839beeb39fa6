"""The PostgreSQL engine: any number of nodes on one primary. `postgresql://user@host/database?namespace=name`."""

from __future__ import annotations

import asyncpg

from sessiond.domain.errors import Misconfigured
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.postgresql.connections import connect
from sessiond.storage.engines.postgresql.engine import PostgresqlStore
from sessiond.storage.engines.postgresql.failures import FAILURES, meaning
from sessiond.storage.engines.postgresql.migrations import known_migrations, migrate
from sessiond.storage.engines.postgresql.url import parse_url

SHARED = True


async def open_store(url: str, *, role: Role, cache_records: int = 100_000) -> Store:  # noqa: ARG001  the signature of all
    """Open the namespace that *url* names, and make it if there is none. Nothing is kept in memory.

    Raises `Misconfigured` when the URL cannot be used, the server is not reached or is a standby, or what lies in the
    namespace is not ours or newer than we are.
    """
    address = parse_url(url)
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
    return PostgresqlStore(address)
