"""What fails below the PostgreSQL engine: refused in words, nothing acknowledged lost, and back without a restart."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import msgspec
import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.engines.postgresql import connections
from sessiond.storage.engines.postgresql.url import parse_url
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.servers.held_link import HeldLink
from tests.servers.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("patient")]

_MANY_TRANSACTIONS = """
    DO $$ BEGIN FOR n IN 1..1000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$
"""
_UNHEARD_OF = 3 << 30
"""A transaction of long ago, of which no server knows how it ended."""


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.url()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await open_store(url, role=Role.SERVER)
    yield store
    await store.close()


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresqlServer]:
    """A server that tests may kill."""
    with PostgresqlServer.started() as server:
        yield server


def copy(data: Path, target: Path) -> None:
    """Copy a data directory, whose owner stays."""
    subprocess.run(["cp", "-a", data, target], check=True)


def unreadable(page: bytes) -> bytes:
    """Return what no page can be."""
    return b"\xff" * len(page)


def by_nobody_known(page: bytes) -> bytes:
    """Return a page of a table as if its rows were written by a transaction of which nothing is known."""
    rows = bytearray(page)
    (end,) = struct.unpack_from("<H", rows, 12)
    for pointer in range(24, end, 4):
        row = struct.unpack_from("<H", rows, pointer)[0] & 0x7FFF
        struct.pack_into("<I", rows, row, _UNHEARD_OF)
        rows[row + 21] &= 0xFC  # what was noted of how the transaction ended
    return bytes(rows)


async def outcome_of(writing: object) -> object:
    try:
        return await writing  # type: ignore[misc]
    except Unavailable as refusal:
        return refusal.code


async def test_cut_connections_are_replaced_and_reads_do_not_notice(
    postgresql: PostgresqlServer, store: Store
) -> None:
    session = samples.session()
    await store.apply(samples.put(session))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiond'"

    for _ in range(5):
        postgresql.run_sql(cut)
        found = await asyncio.gather(*(store.find_session(DEFAULT_PROJECT, session.id) for _ in range(20)))
        assert {standing.session.id for standing in found if standing is not None} == {session.id}


async def test_connections_cut_under_writes_lose_nothing_that_was_acknowledged(
    postgresql: PostgresqlServer, store: Store
) -> None:
    acknowledged: list[Session] = []
    refused: list[str] = []

    async def write() -> None:
        for _ in range(25):
            session = samples.session()
            try:
                await store.apply(samples.put(session, events=(samples.event(),)))
            except Unavailable as refusal:
                refused.append(refusal.code)
            else:
                acknowledged.append(session)

    async def cut() -> None:
        connection = await asyncpg.connect(postgresql.admin_url)
        for _ in range(20):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiond'"
            )
        await connection.close()

    await asyncio.gather(cut(), *(write() for _ in range(16)))

    assert set(refused) <= {"store_unavailable"}
    assert None not in await store.get_many([session.key for session in acknowledged])


async def test_what_was_acknowledged_survives_a_kill_and_the_store_comes_back(
    mortal: PostgresqlServer,
) -> None:
    store = await open_store(mortal.url(), role=Role.SERVER)
    session = samples.session()
    await store.apply(samples.put(session))
    await store.revoke([samples.revocation(session)])
    touch = Touch(project=DEFAULT_PROJECT, session=session.id, seen_at=1, generation=0)

    mortal.kill()
    refused = await asyncio.gather(
        outcome_of(store.find_session(DEFAULT_PROJECT, session.id)),
        outcome_of(store.get(session.key)),
        outcome_of(store.apply(samples.put(samples.session()))),
        outcome_of(store.revoke([samples.revocation(session)])),
        outcome_of(store.touch([touch])),
        outcome_of(store.newest_event()),
    )
    mortal.start()

    assert set(refused) == {"store_unavailable"}
    standing = await store.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert standing.session.revoked_at is not None
    await store.apply(samples.put(samples.session()))
    await store.close()


def test_a_server_says_503_while_its_database_is_down_and_recovers_by_itself(
    mortal: PostgresqlServer, tmp_path: Path
) -> None:
    with (
        ServerProcess.started(tmp_path, settings={"SESSIOND_DATABASE": mortal.url()}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        asked = {"subject": "alice"}
        born = http.post("/v1/sessions", json=asked, headers=server.authorization).json()
        mine = {"Authorization": f"Bearer {born['access_token']}"}

        mortal.kill()
        down = [
            http.get("/v1/session", headers=mine),
            http.post("/v1/sessions", json=asked, headers=server.authorization),
            http.post("/v1/session/refresh", json={"refresh_token": born["refresh_token"]}),
            http.get("/readyz"),
        ]
        mortal.start()

        assert [(each.status_code, each.json()["code"]) for each in down] == [(503, "store_unavailable")] * 4
        assert http.get("/v1/session", headers=mine).status_code == 200
        assert http.get("/readyz").status_code == 200


@pytest.mark.parametrize("damaged", [unreadable, by_nobody_known])
async def test_a_damaged_page_is_the_trouble_of_those_alone_who_lie_in_it(
    mortal: PostgresqlServer, damaged: Callable[[bytes], bytes]
) -> None:
    url = mortal.url()
    store = await open_store(url, role=Role.SERVER)
    sessions = [samples.session() for _ in range(60)]
    await store.apply(samples.put(*sessions))
    table = f"{url.rpartition('=')[2]}.sessions"
    lost = mortal.run_sql(f"SELECT encode(id, 'hex') FROM {table} WHERE ctid < '(1,0)'").split()  # noqa: S608
    file = mortal.data / mortal.run_sql(f"SELECT pg_relation_filepath('{table}')")
    mortal.stop()
    with file.open("r+b") as pages:
        page = pages.read(8192)
        pages.seek(0)
        pages.write(damaged(page))
    mortal.start()

    found = await asyncio.gather(
        *(outcome_of(store.find_session(DEFAULT_PROJECT, each.id)) for each in sessions)
    )
    await store.close()

    refused = [each.id.hex() for each, it in zip(sessions, found, strict=True) if it == "store_unavailable"]
    assert sorted(refused) == sorted(lost)
    assert 0 < len(refused) < len(sessions)
    assert None not in found


async def test_whoever_is_led_to_a_copy_with_lower_transaction_ids_follows_as_before(
    mortal: PostgresqlServer, tmp_path: Path
) -> None:
    store = await open_store(mortal.url(), role=Role.SERVER)
    await store.apply(Change.telling(samples.event()))
    mortal.stop()
    copy(mortal.data, tmp_path / "copy")
    mortal.start(autovacuum="off")  # which could hold up who follows
    mortal.run_sql(_MANY_TRANSACTIONS)
    mark = b""
    for _ in range(2):
        _, mark = await store.follow(mark, limit=9)

    mortal.kill()
    shutil.rmtree(mortal.data)
    copy(tmp_path / "copy", mortal.data)
    mortal.start()
    await store.newest_event()  # which notices that the connections are gone, and may be asked again
    for n in range(30):
        await store.apply(Change.telling(samples.event(partition=Partition(n))))
        _, mark = await store.follow(mark, limit=9)

    assert len(mark) <= 10 * 10
    await store.close()


async def test_without_a_connection_left_it_is_refused_until_there_is_one(mortal: PostgresqlServer) -> None:
    store = await open_store(mortal.url(), role=Role.SERVER)
    taken: list[asyncpg.Connection] = []
    try:
        while True:
            taken.append(await asyncpg.connect(mortal.admin_url))
    except asyncpg.TooManyConnectionsError:
        pass

    refused = await outcome_of(store.get(samples.session().key))
    for connection in taken:
        await connection.close()

    assert refused == "store_unavailable"
    async with asyncio.timeout(WITHIN_SECONDS):  # the server takes a moment to let go of its processes
        while await outcome_of(store.get(samples.session().key)) == "store_unavailable":
            pass
    await store.close()


async def test_a_database_that_lacks_what_this_node_saw_is_not_used_any_more(
    postgresql: PostgresqlServer, store: Store, url: str
) -> None:
    """As after a restore, or when a standby that lagged took over: sessions that were revoked would live again."""
    namespace = url.rpartition("=")[2]
    session = samples.session()
    await store.apply(samples.put(session, events=(samples.event(),)))
    await store.newest_event()
    postgresql.run_sql(f"TRUNCATE {namespace}.events")
    postgresql.run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiond'"
    )

    refused = await outcome_of(store.find_session(DEFAULT_PROJECT, session.id))

    assert refused == "store_unavailable"
    with pytest.raises(Unavailable, match="lacks what this server saw"):
        store.check()


async def test_connections_that_are_made_at_once_while_others_write_find_nothing_missing(url: str) -> None:
    other = await open_store(url, role=Role.SERVER)
    done = False

    async def write() -> None:
        while not done:
            await other.apply(samples.put(samples.session(), events=(samples.event(),)))

    writing = [asyncio.create_task(write()) for _ in range(4)]
    outcomes: list[object] = []
    for _ in range(12):  # each makes its connections at the same moment, when they are needed
        store = await open_store(url, role=Role.SERVER)
        outcomes += await asyncio.gather(*(outcome_of(store.newest_event()) for _ in range(6)))
        await store.close()
    done = True
    await asyncio.gather(*writing)
    await other.close()

    assert "store_unavailable" not in outcomes


async def test_a_commit_is_on_disk_whatever_the_server_s_own_setting_is(
    postgresql: PostgresqlServer, store: Store, url: str
) -> None:
    postgresql.run_sql("ALTER DATABASE sessiond SET synchronous_commit = off")
    try:
        connection = await asyncpg.connect(postgresql.admin_url)
        async with connection.transaction():
            await connection.execute(f"SET LOCAL search_path = {parse_url(url).namespace}")
            await connection.execute("SELECT lock_partitions('{1}')")
            inside = await connection.fetchval("SHOW synchronous_commit")
        await connection.close()
    finally:
        postgresql.run_sql("ALTER DATABASE sessiond RESET synchronous_commit")

    assert inside == "on"


async def test_connections_that_were_idle_for_long_are_not_used_again(
    mortal: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    store = await open_store(mortal.url(), role=Role.SERVER)
    ours = "FROM pg_stat_activity WHERE application_name = 'sessiond'"

    await asyncio.gather(*(store.newest_event() for _ in range(5)))
    await store.newest_event()

    async with asyncio.timeout(WITHIN_SECONDS):  # the server takes a moment to notice
        while int(await asyncio.to_thread(mortal.run_sql, f"SELECT count(*) {ours}")) > 0:
            pass
    assert await store.newest_event() == 0
    await store.close()


async def test_waiting_writes_are_finished_by_a_close_and_later_ones_refused(store: Store) -> None:
    session = samples.session()
    writing = asyncio.create_task(store.apply(samples.put(session)))
    await asyncio.sleep(0)

    await store.close()

    assert writing.done()
    assert writing.exception() is None
    assert (
        await outcome_of(store.apply(Change(partition=samples.PARTITION, expects={}))) == "store_unavailable"
    )


async def test_a_node_that_stops_reading_in_the_middle_of_an_answer_does_not_hold_up_the_writes_of_others(
    postgresql: PostgresqlServer, store: Store, url: str
) -> None:
    """As one does that is frozen or cut off: its transaction ends only once the answer has gone."""
    long = {"long": "x" * 4000}
    sessions = [msgspec.structs.replace(samples.session(), metadata=long) for _ in range(2000)]
    for start in range(0, len(sessions), 100):
        await store.apply(samples.put(*sessions[start : start + 100]))
    first, *others = [samples.revocation(session) for session in sessions]
    stuck = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"
    async with HeldLink.before(postgresql.port) as link:
        frozen = await open_store(url.replace(f":{postgresql.port}/", f":{link.port}/"), role=Role.SERVER)
        await frozen.revoke([first])  # so that another one is a single statement
        link.hold()
        revoking = asyncio.create_task(frozen.revoke(others))
        async with asyncio.timeout(WITHIN_SECONDS):
            while await asyncio.to_thread(postgresql.run_sql, stuck) == "0":
                link.pass_held()

        await store.apply(samples.put(samples.session()))

        assert not revoking.done()
        link.release()
        ended = await revoking
        await frozen.close()
    assert [each.id for each in ended if each is not None] == [each.session for each in others]


async def test_a_write_whose_wait_for_the_standby_is_cancelled_is_not_acknowledged(
    mortal: PostgresqlServer,
) -> None:
    store = await open_store(mortal.url(), role=Role.SERVER)
    mortal.run_sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    mortal.run_sql("SELECT pg_reload_conf()")
    waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"

    writing = asyncio.create_task(outcome_of(store.apply(samples.put(samples.session()))))
    async with asyncio.timeout(WITHIN_SECONDS):
        while not int(await asyncio.to_thread(mortal.run_sql, f"SELECT count(*) {waits}")):
            if writing.done():  # the setting had not reached the whole server
                writing = asyncio.create_task(outcome_of(store.apply(samples.put(samples.session()))))
    await asyncio.to_thread(mortal.run_sql, f"SELECT pg_cancel_backend(pid) {waits}")
    outcome = await writing
    mortal.run_sql("ALTER SYSTEM RESET synchronous_standby_names")
    mortal.run_sql("SELECT pg_reload_conf()")

    assert outcome == "store_unavailable"
    await store.apply(samples.put(samples.session()))
    await store.close()
