"""`sessiond migrate` between real engines: all arrives, nobody serves two databases, nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest

from sessiond.bootstrap.moves import moving
from sessiond.domain.projects import Deployment, deployment_key
from sessiond.domain.records import Kind
from sessiond.services.movable import MovableStore
from sessiond.services.ports import Selection
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import NOW
from tests.server_process import ServerProcess, free_port
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster
from tests.system.moves import Crowd, Everything, begun, migrate, on, sqlite, switched
from tests.system.waiting import eventually
from tests.system.writers import bearer

pytestmark = pytest.mark.slow

MANY = 4_500


@asynccontextmanager
async def opened(url: str, role: Role = Role.TOOL) -> AsyncIterator[MovableStore]:
    store = await open_store(url, role=role)
    try:
        yield store
    finally:
        await store.close()


async def filled(url: str) -> None:
    """Put an installation with many sessions there, faster than over TCP."""
    async with opened(url) as store:
        await store.apply(samples.put(samples.deployment()))
        sessions = [samples.session(id=samples.session_id(NOW + n)) for n in range(MANY)]
        for start in range(0, MANY, 1000):
            await store.apply(samples.put(*sessions[start : start + 1000], events=(samples.event(),)))


async def deployment_in(store: MovableStore) -> Deployment | None:
    return cast("Deployment | None", await store.get(deployment_key()))


async def test_everything_arrives_on_every_engine(
    tmp_path: Path, postgresql: PostgresqlServer, redis_cluster: RedisCluster
) -> None:
    databases = [
        sqlite(tmp_path, "first"),
        postgresql.url(),
        redis_cluster.url(),
        sqlite(tmp_path, "last"),
    ]
    port = free_port()  # the issuer of JWTs has it in its name
    with ServerProcess.started(tmp_path, settings=on(databases[0]), port=port) as server:
        everything = Everything(server)
        before = everything.timeline(server)
    for source, target in itertools.pairwise(databases):
        async with moving(source, target, lambda _: None) as mover:
            assert await mover.switch(target) == []
        with ServerProcess.started(tmp_path, settings=on(target), port=port) as server:
            assert "every session has been ended" not in server.log()
            everything.check(server)
            assert everything.timeline(server) == before
            if target == databases[-1]:
                audited = eventually(lambda: _sealed(server))
                assert audited is not None
                assert (audited["sound"], audited["first_link"]) == (True, 1), audited


async def test_a_move_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    source, target = sqlite(tmp_path, "from"), sqlite(tmp_path, "to")
    await filled(source)
    with begun(source, target) as process:
        # Killed once the target says how far it came, and at the latest when it is done.
        async with opened(target) as store:
            while process.poll() is None:
                there = await deployment_in(store)
                if there is not None and there.arriving is not None and there.arriving.place:
                    break
        process.kill()

    done = migrate(source, target, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"switched": False, "caught_up": 0}), done.stderr

    async with moving(source, target, lambda _: None) as mover:
        assert await mover.switch(target) == []
    async with opened(target) as store:
        assert await store.count(Selection(kind=Kind.SESSION)) == MANY


async def test_what_was_tampered_with_is_found_and_shown(tmp_path: Path) -> None:
    source, target = sqlite(tmp_path, "from"), sqlite(tmp_path, "to")
    session = samples.session()
    async with opened(source) as store:
        await store.apply(samples.put(samples.deployment()))
        await store.apply(samples.put(session))
    async with moving(source, target, lambda _: None) as mover:
        await mover.copy()
    async with opened(target) as store:
        # What was seen of a session never falls: no pass can mend this.
        later = msgspec.structs.replace(session, version=2, last_seen_at=NOW + 5)
        await store.apply(samples.put(later))

    done = migrate(source, target, "--switch", "--yes")

    assert done.returncode == 1
    assert "The two differ in 1 places; the move is not done" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.strip().endswith("1")]
    assert row == [str(samples.PARTITION), "session", "1", "1"]
    async with opened(target) as store:
        there = await deployment_in(store)
    assert there is not None
    assert there.arriving is not None


@contextmanager
def crowded(server: ServerProcess) -> Iterator[Crowd]:
    """Let clients create, refresh, verify and revoke until the block ends, and then until each has been refused."""
    crowd = Crowd(server)
    threads = [threading.Thread(target=client) for client in crowd.clients]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        crowd.over.set()
        for thread in threads:
            thread.join()


def the_switch_under_traffic(folder: Path, source: str, target: str) -> Crowd:
    """Move while clients write, and assert that nothing acknowledged is lost; return who they were."""
    with ServerProcess.started(folder, settings=on(source)) as old:
        with crowded(old) as crowd:
            eventually(lambda: crowd.acknowledged("revoke") >= 5)
            copied = migrate(source, target)
            assert copied.returncode == 0, copied.stderr
            reached = crowd.acknowledged("revoke")
            eventually(lambda: crowd.acknowledged("revoke") >= reached + 5)
            switched(source, target)
        assert crowd.unexplained == []
        assert crowd.refused_everywhere()
        other = folder / "other node"
        other.mkdir()
        with ServerProcess.started(other, settings=on(target) | _key(old)) as new:
            crowd.check(new)
    return crowd


def _key(server: ServerProcess) -> dict[str, str]:
    """Return the wrapping key as a second node is given it."""
    return {"SESSIOND_KEY": (server.data_dir / "secrets" / "key").read_text().strip()}


def test_no_acknowledged_revoke_and_no_session_is_lost_by_a_switch_under_traffic(
    tmp_path: Path, postgresql: PostgresqlServer
) -> None:
    crowd = the_switch_under_traffic(tmp_path, sqlite(tmp_path, "first"), postgresql.url())

    assert min(crowd.acknowledged(verb) for verb in ("create", "refresh", "revoke", "verify")) > 0


@pytest.mark.soak
@pytest.mark.parametrize("turn", range(5))
def test_switches_under_traffic_from_shared_engines_lose_nothing(
    tmp_path: Path, postgresql: PostgresqlServer, redis_cluster: RedisCluster, turn: int
) -> None:
    for number, (source, target) in enumerate(
        [(postgresql.url(), redis_cluster.url()), (redis_cluster.url(), sqlite(tmp_path, f"last{turn}"))]
    ):
        (tmp_path / str(number)).mkdir()
        the_switch_under_traffic(tmp_path / str(number), source, target)


async def test_nothing_starts_on_what_was_left_nor_on_what_is_being_filled(tmp_path: Path) -> None:
    source, target = sqlite(tmp_path, "first"), sqlite(tmp_path, "second")
    with ServerProcess.started(tmp_path, settings=on(source)) as server:
        tokens = _created(server)
        async with moving(source, target, lambda _: None) as mover:
            await mover.copy()
        refused = [_start(server, target)]
        stayed = migrate(source, target, "--stay")
        again = _verified(server, tokens)
        async with moving(source, target, lambda _: None) as mover:
            assert await mover.switch(target) == []
    refused.append(_start(server, source))

    assert (stayed.returncode, again.status_code) == (0, 200), stayed.stderr
    assert [done.returncode for done in refused] == [2, 2]
    assert "is being filled by `sessiond migrate`" in refused[0].stderr
    assert f"was moved to {target}, and nothing may be started here again" in refused[1].stderr


def _sealed(server: ServerProcess) -> dict[str, Any] | None:
    """Return what the check of the audit says, once all that happened is sealed."""
    found: dict[str, Any] = json.loads(server.run("audit", "verify", "--json").stdout)
    return found if found["unsealed"] == 0 else None


def _start(server: ServerProcess, database: str) -> subprocess.CompletedProcess[str]:
    return server.run("serve", "--port", str(free_port()), "--database", database)


def _created(server: ServerProcess) -> dict[str, Any]:
    answer = httpx.post(f"{server.url}/v1/sessions", json={"subject": "alice"}, headers=server.authorization)
    made: dict[str, Any] = answer.json()
    return made


def _verified(server: ServerProcess, tokens: dict[str, Any]) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/session", headers=bearer(tokens["access_token"]))
