"""`cache.max_staleness` on the engines that nodes share: what memory answers is never older than that."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import msgspec
import pytest

from sessiond.domain.errors import Misconfigured, SessiondError, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.records import Record
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store, Touch
from sessiond.services.token_forms import Form
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.deployment import TestDeployment
from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.servers.held_link import HeldLink
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow

BOUND = timedelta(seconds=60)


class Seconds:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


class Pair(NamedTuple):
    """A node that may answer from memory, behind a relay and with a set clock; another on the same database."""

    here: Store
    there: Store
    relay: HeldLink
    seconds: Seconds


@pytest.fixture(params=("postgresql", "redis_server", "redis_cluster"))
def server(request: pytest.FixtureRequest) -> PostgresqlServer | RedisServer | RedisCluster:
    found: PostgresqlServer | RedisServer | RedisCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=("postgresql", "redis_server"))
async def empty(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """Two nodes on a database with nothing in it."""
    server: PostgresqlServer | RedisServer = request.getfixturevalue(request.param)
    url = server.url()
    async with HeldLink.before(server.port) as relay:
        seconds = Seconds()
        here = await remembering(url.replace(f":{server.port}", f":{relay.port}"), BOUND, seconds)
        there = await remembering(url, BOUND)
        await until(lambda: heard(here) and heard(there))
        yield Pair(here, there, relay, seconds)
        relay.release()
        relay.mend()
        await here.close()
        await there.close()


@pytest.fixture
async def pair(empty: Pair) -> Pair:
    """Two nodes on a database with all that a session stands on."""
    await empty.there.apply(samples.put(samples.project(), samples.deployment()))
    await empty.there.apply(samples.put(samples.subject()))
    return empty


async def remembering(url: str, bound: timedelta, monotonic: Callable[[], float] = time.monotonic) -> Store:
    """Open a store as a server does that has the setting."""
    engine: Any = importlib.import_module(
        f"sessiond.storage.engines.{url.partition(':')[0].removesuffix('+cluster')}"
    )
    store: Store = await engine.open_store(url, role=Role.SERVER, max_staleness=bound, monotonic=monotonic)
    return store


async def until(look: Callable[[], bool]) -> None:
    """Return once *look* is true; it becomes so by what arrives on the loop."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not look():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.002)


def heard(store: Store) -> bool:
    staleness = store.staleness()
    return staleness is not None and staleness.heard


def knows(store: Store, session: Session) -> bool:
    """Tell whether memory takes the session for alive."""
    standing = store.peek_session(DEFAULT_PROJECT, session.id)
    return standing is not None and standing.session.revoked_at is None


async def until_known(store: Store, session: Session) -> None:
    """Return once memory has answered for *session*."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not knows(store, session):
        assert time.monotonic() < deadline, "memory never answered"
        await store.find_session(DEFAULT_PROJECT, session.id)


async def known(pair: Pair) -> Session:
    """Return a session that memory knows here."""
    session = samples.session()
    await pair.there.apply(samples.put(session))
    await until(lambda: heard(pair.here))
    await pair.here.find_session(DEFAULT_PROJECT, session.id)
    assert knows(pair.here, session)
    return session


async def test_what_a_session_s_life_depends_on_is_told_when_another_node_changes_it(pair: Pair) -> None:
    changes: tuple[Record, ...] = (
        msgspec.structs.replace(samples.subject(), epoch=99, version=2),
        msgspec.structs.replace(samples.project(), epoch=98, version=2),
        msgspec.structs.replace(samples.deployment(), epoch=97, version=2),
    )
    ended, rotated, removed, other = [await known(pair) for _ in range(4)]

    await pair.there.revoke([samples.revocation(ended)])
    await until(lambda: not knows(pair.here, ended))
    await pair.there.apply(samples.put(rotated.rotated(now=samples.NOW, kid=5)))
    await until(lambda: not knows(pair.here, rotated))
    await pair.there.apply(samples.delete(removed.key, 1))
    await until(lambda: not knows(pair.here, removed))
    assert knows(pair.here, other)
    for record in changes:
        session = await known(pair)
        await pair.there.apply(samples.put(record))
        await until(lambda each=session: not knows(pair.here, each))  # type: ignore[misc]


async def test_a_session_that_is_used_elsewhere_with_a_newer_token_is_told(pair: Pair) -> None:
    session = await known(pair)
    await pair.there.touch(
        [Touch(project=DEFAULT_PROJECT, session=session.id, seen_at=samples.NOW + 5, generation=0)]
    )
    await until(lambda: not knows(pair.here, session))


async def test_a_node_s_own_writes_count_in_its_memory_at_once(pair: Pair) -> None:
    ended, rotated = await known(pair), await known(pair)
    pair.relay.hold_what_is_told()

    await pair.here.revoke([samples.revocation(ended)])
    await pair.here.apply(samples.put(rotated.rotated(now=samples.NOW, kid=5)))

    assert not knows(pair.here, ended)
    assert pair.here.peek_session(DEFAULT_PROJECT, rotated.id) is None


async def test_while_the_feed_hangs_memory_answers_for_the_bound_and_no_longer(pair: Pair) -> None:
    session = await known(pair)
    pair.relay.hold()
    await pair.there.revoke([samples.revocation(session)])

    pair.seconds.advance(BOUND.total_seconds())
    assert knows(pair.here, session)
    pair.seconds.advance(0.001)

    assert not knows(pair.here, session)
    assert not heard(pair.here)
    pair.relay.release()
    await until(lambda: heard(pair.here))
    assert not knows(pair.here, session)


async def test_a_heartbeat_that_comes_late_counts_from_when_it_was_sent(pair: Pair) -> None:
    def measured() -> float | None:
        staleness = pair.here.staleness()
        return staleness.measured_seconds if staleness is not None else None

    pair.seconds.advance(1)
    await until(lambda: measured() == 0)
    pair.relay.hold_requests()
    pair.seconds.advance(5)
    await until(lambda: pair.relay.held > 0)
    pair.seconds.advance(20)
    assert measured() == 25

    pair.relay.pass_held()
    await until(lambda: measured() != 25)

    assert measured() == 20


async def test_when_the_feed_is_cut_memory_is_silent_at_once_until_it_is_heard_again(pair: Pair) -> None:
    session = await known(pair)

    pair.relay.cut()
    await until(lambda: not heard(pair.here))
    assert pair.here.peek_session(DEFAULT_PROJECT, session.id) is None
    await pair.there.revoke([samples.revocation(session)])
    pair.relay.mend()
    await until(lambda: heard(pair.here))

    assert pair.here.peek_session(DEFAULT_PROJECT, session.id) is None
    standing = await pair.here.find_session(DEFAULT_PROJECT, session.id)
    assert standing is not None
    assert standing.session.revoked_at is not None


async def test_the_measured_staleness_never_passes_the_bound_under_load(
    server: PostgresqlServer | RedisServer | RedisCluster,
) -> None:
    bound = timedelta(milliseconds=200)
    url = server.url()
    here, there = [await remembering(url, bound) for _ in range(2)]
    await there.apply(samples.put(samples.project(), samples.deployment()))
    await there.apply(samples.put(samples.subject()))
    sessions = [samples.session() for _ in range(120)]
    await there.apply(samples.put(*sessions))
    ended_at: dict[bytes, float] = {}
    worst = 0.0
    await until_known(here, sessions[0])

    async def end_all() -> None:
        for session in sessions:
            await there.revoke([samples.revocation(session)])
            ended_at[session.id] = time.monotonic()
            await asyncio.sleep(0.002)

    ending = asyncio.create_task(end_all())
    while not ending.done():
        for session in sessions:
            before = time.monotonic()
            if knows(here, session):
                worst = max(worst, before - ended_at.get(session.id, before))
            elif session.id not in ended_at:
                await here.find_session(DEFAULT_PROJECT, session.id)
        await asyncio.sleep(0)
    await ending

    assert worst <= bound.total_seconds()
    await here.close()
    await there.close()


async def test_memory_admits_a_verify_and_decides_nothing_else(empty: Pair) -> None:
    there = await TestDeployment.born(store=empty.there, seed="there")
    here = await TestDeployment.born(store=empty.here, clock=there.clock, seed="here")
    session = await there.issue()
    access, refresh = there.access_token(session), there.refresh_token(session)
    await until(lambda: heard(empty.here))
    await here.services.sessions.verify(access)
    assert here.services.sessions.peek(access) is not None
    empty.relay.hold()
    await there.services.sessions.revoke(session, reason="lost", by=Initiator("operator"))
    assert here.services.sessions.peek(access) is not None
    empty.relay.release()
    for refused in (
        here.services.sessions.refresh(refresh, Form.REFRESH),
        here.services.sessions.verify(access),
    ):
        with pytest.raises(SessiondError):
            await refused


async def test_a_store_without_the_setting_and_a_command_remember_nothing(
    server: PostgresqlServer | RedisServer | RedisCluster,
) -> None:
    url = server.url()
    strict = await open_store(url, role=Role.SERVER)
    command = await open_store(url, role=Role.TOOL, max_staleness=BOUND)
    session = samples.session()
    await strict.apply(samples.put(samples.project(), samples.deployment()))
    await strict.apply(samples.put(samples.subject(), session))
    for store in (strict, command):
        await store.find_session(DEFAULT_PROJECT, session.id)
        assert store.peek_session(DEFAULT_PROJECT, session.id) is None
        assert store.staleness() is None
        await store.close()


async def test_behind_a_pooler_that_cannot_listen_the_setting_is_refused(
    postgresql: PostgresqlServer,
) -> None:
    with pytest.raises(Misconfigured, match="LISTEN"):
        await open_store(postgresql.url(prepared="false"), role=Role.SERVER, max_staleness=BOUND)


async def test_on_postgresql_nothing_is_told_before_a_node_asks_for_it(postgresql: PostgresqlServer) -> None:
    url = postgresql.url(namespace="untold")
    triggers = (
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'untold.sessions'::regclass AND NOT tgisinternal"
    )
    strict = await open_store(url, role=Role.SERVER)
    assert postgresql.run_sql(triggers) == "0"

    nodes = await asyncio.gather(*(remembering(url, BOUND) for _ in range(4)))
    await until(lambda: all(map(heard, nodes)))

    assert postgresql.run_sql(triggers) == "2"
    await asyncio.gather(*(store.close() for store in (strict, *nodes)))


async def test_on_postgresql_a_change_by_hand_is_told(postgresql: PostgresqlServer) -> None:
    url = postgresql.url(namespace="byhand")
    store = await remembering(url, BOUND)
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject()))
    sessions = [samples.session() for _ in range(700)]
    await store.apply(samples.put(*sessions))
    await until(lambda: heard(store))
    for session in sessions:
        await store.find_session(DEFAULT_PROJECT, session.id)
    assert all(knows(store, session) for session in sessions)

    postgresql.run_sql("UPDATE byhand.sessions SET revoked_at = 1, revoked_reason = 'by hand'")

    await until(lambda: not any(knows(store, session) for session in sessions))
    await store.close()
    with pytest.raises(Unavailable):
        store.peek_session(DEFAULT_PROJECT, sessions[0].id)


async def test_on_postgresql_who_asks_for_the_feed_waits_for_writers_and_holds_nobody_up_for_long(
    postgresql: PostgresqlServer,
) -> None:
    url = postgresql.url(namespace="waited")
    strict = await open_store(url, role=Role.SERVER)
    writer = await asyncpg.connect(postgresql.admin_url)
    await writer.execute("BEGIN; LOCK TABLE waited.sessions IN ROW EXCLUSIVE MODE")

    asking = await remembering(url, BOUND)
    session = samples.session()
    for number in range(3):
        await strict.apply(samples.put(samples.subject(SubjectId(f"user-{number}"))))
        await strict.find_session(DEFAULT_PROJECT, session.id)
    assert not heard(asking)
    await writer.execute("COMMIT")
    await until(lambda: heard(asking))

    await writer.close()
    await asking.close()
    await strict.close()


def test_a_server_with_the_setting_tells_how_old_its_answers_may_be_and_takes_commands_changes(
    postgresql: PostgresqlServer, tmp_path: Path
) -> None:
    settings = {"SESSIOND_DATABASE": postgresql.url(), "SESSIOND_CACHE_MAX_STALENESS": "60s"}
    with (
        ServerProcess.started(tmp_path, settings=settings) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        told = eventually(
            lambda: (shown := http.get("/readyz").json()["staleness"])["feed"] == "heard" and shown
        )
        born = http.post("/v1/sessions", json={"subject": "alice"}, headers=server.authorization).json()
        mine = {"Authorization": f"Bearer {born['access_token']}"}
        assert [http.get("/v1/session", headers=mine).status_code for _ in range(3)] == [200] * 3
        done = server.run("sessions", "revoke", born["session"]["id"], "--yes")

        assert done.returncode == 0, done.stderr
        assert told["bound_seconds"] == 60
        assert 0 <= told["measured_seconds"] <= 60
        eventually(lambda: http.get("/v1/session", headers=mine).status_code == 401)
        refused = http.post("/v1/session/refresh", json={"refresh_token": born["refresh_token"]})
        assert refused.json()["code"] == "session_revoked"


def test_without_the_setting_nothing_is_said_of_staleness(redis_server: RedisServer, tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path, settings={"SESSIOND_DATABASE": redis_server.url()}) as server:
        assert "staleness" not in httpx.get(f"{server.url}/readyz").json()
