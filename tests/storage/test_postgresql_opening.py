"""Which databases of PostgreSQL are opened, and how their schema comes to be; what is wrong is said in words."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import Role
from sessiond.storage.engines.postgresql import migrations
from sessiond.storage.engines.postgresql.url import parse_url
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.servers.postgresql import PostgresqlServer

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.url()


async def test_nodes_that_migrate_at_once_migrate_once(url: str) -> None:
    stores = await asyncio.gather(*(open_store(url, role=Role.SERVER) for _ in range(6)))

    assert await stores[0].newest_event() == 0
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_later_migration_runs_beside_a_working_node(postgresql: PostgresqlServer, url: str) -> None:
    store = await open_store(url, role=Role.SERVER)
    address = parse_url(url)
    known = [*migrations.known_migrations(), (9000, "ALTER TABLE records ADD COLUMN later text")]
    nodes = [await asyncpg.connect(postgresql.admin_url) for _ in range(2)]

    await asyncio.gather(*(migrations.migrate(each, address.namespace, known) for each in nodes))

    session = samples.session()
    await store.apply(samples.put(session))
    assert await store.get(session.key) == session
    for node in (store, *nodes):
        await node.close()
    with pytest.raises(Misconfigured, match="written by a newer sessiond"):
        await open_store(url, role=Role.SERVER)


async def test_a_schema_that_is_not_ours_is_left_alone(postgresql: PostgresqlServer) -> None:
    postgresql.run_sql("CREATE SCHEMA IF NOT EXISTS theirs; CREATE TABLE IF NOT EXISTS theirs.sessions ()")

    with pytest.raises(Misconfigured, match="not sessiond's"):
        await open_store(postgresql.url("theirs"), role=Role.SERVER)


async def test_a_database_that_cannot_hold_every_text_is_refused(postgresql: PostgresqlServer) -> None:
    made = "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
    postgresql.run_sql(made, database="postgres")

    with pytest.raises(Misconfigured, match="encoding LATIN1"):
        await open_store(postgresql.url().replace("/sessiond?", "/latin?"), role=Role.SERVER)


async def test_a_user_whose_writes_would_overlook_what_they_waited_for_is_refused(
    postgresql: PostgresqlServer,
) -> None:
    postgresql.run_sql(
        f"CREATE ROLE repeating SUPERUSER LOGIN PASSWORD '{postgresql.password}';"
        "ALTER ROLE repeating SET default_transaction_isolation = 'repeatable read'"
    )

    with pytest.raises(Misconfigured, match="transactions of the database are repeatable read"):
        await open_store(postgresql.url().replace("//sessiond:", "//repeating:"), role=Role.SERVER)


async def test_a_schema_that_was_made_empty_for_us_is_used(postgresql: PostgresqlServer) -> None:
    postgresql.run_sql("CREATE SCHEMA prepared_for_us")

    store = await open_store(postgresql.url("prepared_for_us"), role=Role.TOOL)

    assert await store.newest_event() == 0
    await store.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("sessiond?", "nowhere?"), "does not exist"),
        (("sessiond:", "nobody:"), "refuses the user or its password"),
        (("127.0.0.1:", "127.0.0.1:1"), "a PostgreSQL URL is"),
        (("127.0.0.1:", "127.0.0.2:"), "nothing listens"),
    ],
)
async def test_what_is_wrong_with_the_database_is_said_without_the_password(
    postgresql: PostgresqlServer, wrong: tuple[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.url().replace(*wrong)

    with caplog.at_level(logging.DEBUG), pytest.raises(Misconfigured, match=said) as refusal:
        await open_store(url, role=Role.SERVER)

    assert postgresql.password not in f"{refusal.value}{refusal.value!r}{caplog.text}"
