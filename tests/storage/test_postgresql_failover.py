"""A primary is killed under load and its synchronous standby takes over: no acknowledged write is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.progress import until
from tests.server_process import WITHIN_SECONDS
from tests.servers.postgresql import PostgresqlServer
from tests.system.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("patient")]

CLIENTS = 16
BEFORE = 400
AFTER = 400

Pair = tuple[PostgresqlServer, PostgresqlServer]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with PostgresqlServer.started() as primary, primary.followed() as standby:
        yield primary, standby


def url_of_both(pair: Pair) -> str:
    primary, standby = pair
    return primary.url("pair").replace(f":{primary.port}/", f":{primary.port},127.0.0.1:{standby.port}/")


class History:
    """What clients did and were told. *broken* are answers that no order of the acknowledged writes explains."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.issued: list[Session] = []
        self.revoked: set[SessionId] = set()
        self.refused = 0
        self.broken: list[str] = []
        self.done = False
        self._moved = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Let clients use the store until `end`."""
        self._clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        for client in self._clients:
            client.add_done_callback(lambda _: self._moved.set())

    async def end(self) -> None:
        """Let every client finish what it is at."""
        self.done = True
        await asyncio.gather(*self._clients)

    async def _client(self) -> None:
        """Create, verify, revoke and verify, again and again, until it is done."""
        while not self.done:
            session = samples.session()
            try:
                await self._store.apply(samples.put(session, events=(samples.event(),)))
                self.issued.append(session)
                await self._expect(session, revoked=False)
                await self._store.revoke([samples.revocation(session)])
                self.revoked.add(session.id)
                await self._expect(session, revoked=True)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.01)  # as a client waits before it asks again
            self._moved.set()

    async def _expect(self, session: Session, *, revoked: bool) -> None:
        standing = await self._store.find_session(DEFAULT_PROJECT, session.id)
        if standing is None or (standing.session.revoked_at is not None) is not revoked:
            self.broken.append(f"{session.id.hex()} revoked {revoked}: {standing}")

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once what the clients did has *reached* something; raise what any of them failed with."""
        await until(reached, self._clients, self._moved, self._told)

    def _told(self) -> str:
        return f"issued: {len(self.issued)}, revoked: {len(self.revoked)}, refused: {self.refused}"


async def until_heard(store: Store, *, heard: bool) -> None:
    """Return once the change feed is heard, or is not."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while (staleness := store.staleness()) is None or staleness.heard is not heard:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def check_that_changes_are_told(store: Store, *, by: Store) -> None:
    """Fail unless the memory of *store* forgets what another node ends."""
    session = samples.session()
    await by.apply(samples.put(samples.project(), samples.deployment()))
    await by.apply(samples.put(samples.subject(), session))
    await store.find_session(DEFAULT_PROJECT, session.id)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is not None
    await by.revoke([samples.revocation(session)])
    async with asyncio.timeout(WITHIN_SECONDS):
        while store.peek_session(DEFAULT_PROJECT, session.id) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_standby_is_never_asked(pair: Pair) -> None:
    _, standby = pair
    await (await open_store(url_of_both(pair), role=Role.SERVER)).close()

    with pytest.raises(Misconfigured, match="no server that may be written to"):
        await open_store(standby.url("pair"), role=Role.SERVER)
    made = "SELECT count(*) FROM pg_proc WHERE proname = 'primary_only'"
    eventually(lambda: standby.run_sql(made) == "1")  # what it has, it may replay a moment later
    for asked in (
        "find_sessions('{}', false)",
        "find_standings_of('{}')",
        "find_bodies('{}')",
        "find_pages_within('{}')",
    ):
        with pytest.raises(AssertionError, match="a standby does not answer"):
            standby.run_sql(f"SELECT * FROM pair.{asked}")  # noqa: S608  our own words


async def test_no_acknowledged_write_is_lost_when_the_standby_takes_over_under_load(pair: Pair) -> None:
    primary, standby = pair
    store = await open_store(url_of_both(pair), role=Role.SERVER)
    remembering = await open_store(url_of_both(pair), role=Role.SERVER, max_staleness=timedelta(seconds=60))
    await until_heard(remembering, heard=True)
    history = History(store)
    history.begin()
    await history.until(lambda: len(history.revoked) >= BEFORE)

    await asyncio.to_thread(primary.kill)
    await history.until(lambda: history.refused > 0)
    await until_heard(remembering, heard=False)
    before = len(history.revoked)
    await asyncio.to_thread(standby.run_sql, "SELECT pg_promote()")
    await history.until(lambda: len(history.revoked) >= before + AFTER)
    await history.end()
    await until_heard(remembering, heard=True)
    await check_that_changes_are_told(remembering, by=store)

    kept = await store.get_many([session.key for session in history.issued])
    found = {record.id: record for record in kept if isinstance(record, Session)}
    await store.close()
    await remembering.close()
    assert history.broken == []
    assert found.keys() == {session.id for session in history.issued}
    assert [each.hex() for each in history.revoked if found[each].revoked_at is None] == []
