"""What the Redis engine says when a server sends it elsewhere, or is lost with something under way."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any, cast

import hiredis
import pytest

from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.projects import deployment_key, project_key
from sessiond.services.measures import BatchMeasures
from sessiond.services.ports import Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis import sending
from sessiond.storage.engines.redis.address import Address, parse_url
from sessiond.storage.engines.redis.calls import Caller
from sessiond.storage.engines.redis.commands import Call, packed_script_call, script_call, whole
from sessiond.storage.engines.redis.commands import bulk as each_bulk
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.scripts import scripts
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.server_process import WITHIN_SECONDS
from tests.servers.scripted_redis import Command, ScriptedRedis, Told, array, bulk, error

pytestmark = pytest.mark.usefixtures("patient")

READ, WRITE = b"MGET", scripts()["write"].digest
NOTHING, TWICE_NOTHING = array(b"$-1\r\n"), array(b"$-1\r\n", b"$-1\r\n")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRedis]:
    async with ScriptedRedis.started() as server:
        yield server


@pytest.fixture
async def store(server: ScriptedRedis) -> AsyncIterator[Store]:
    store = await open_store(f"redis://127.0.0.1:{server.port}", role=Role.SERVER)
    yield store
    await store.close()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[ScriptedRedis, ScriptedRedis]]:
    """Two nodes of a cluster: the first says that it has every slot."""
    async with (
        ScriptedRedis.started(clustered=True) as one,
        ScriptedRedis.started(clustered=True) as other,
    ):
        other.slots_at = one.port
        yield one, other


@pytest.fixture
async def clustered(pair: tuple[ScriptedRedis, ScriptedRedis]) -> AsyncIterator[Store]:
    store = await open_store(f"redis+cluster://127.0.0.1:{pair[0].port}", role=Role.SERVER)
    yield store
    await store.close()


def answering_once_asked(command: Command, asked: bool) -> Told:
    """Answer as a node that a slot is being moved to: only whoever says ASKING just before each command."""
    if not asked:
        return error("MOVED 1 127.0.0.1:1")
    return array(bulk(b"0"), b":0\r\n") if command[1] == WRITE else NOTHING


async def test_who_is_sent_elsewhere_for_once_asks_there_before_each_call(
    pair: tuple[ScriptedRedis, ScriptedRedis], clustered: Store
) -> None:
    one, other = pair
    one.on_script = lambda _command, _asked: error(f"ASK 1 127.0.0.1:{other.port}")
    other.on_script = answering_once_asked

    found = await asyncio.gather(*(clustered.get(samples.session().key) for _ in range(3)))
    await clustered.touch(
        [Touch(project=DEFAULT_PROJECT, session=samples.session().id, seen_at=1, generation=0)]
    )

    assert found == [None] * 3
    assert (other.calls(READ), other.calls(WRITE)) == (3, 1)
    asked = [n for n, command in enumerate(other.commands) if command == [b"ASKING"]]
    assert [other.commands[n + 1][0] for n in asked] == [READ] * 3 + [b"EVALSHA"]


async def test_being_sent_elsewhere_for_once_is_not_remembered_and_being_told_that_it_moved_is(
    pair: tuple[ScriptedRedis, ScriptedRedis], clustered: Store
) -> None:
    one, other = pair
    one.on_script = lambda _command, _asked: error(f"ASK 1 127.0.0.1:{other.port}")
    other.on_script = answering_once_asked
    for _ in range(2):
        await clustered.get(samples.session().key)
    assert one.calls(READ) == 2

    one.on_script = lambda _command, _asked: error(f"MOVED 1 127.0.0.1:{other.port}")
    other.on_script = lambda _command, _asked: NOTHING
    for _ in range(2):
        await clustered.get(samples.session().key)

    assert one.calls(READ) == 3


async def test_what_cannot_be_asked_fails_and_what_is_asked_beside_it_is_answered(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: NOTHING
    asked = [project_key(ProjectId("no project's id")), samples.session().key]

    async with asyncio.timeout(WITHIN_SECONDS):
        failed, found = await asyncio.gather(*map(store.get, asked), return_exceptions=True)

    assert (type(failed), found) == (ValueError, None)


async def test_of_no_commands_there_are_no_answers_at_once(server: ScriptedRedis) -> None:
    nodes = Nodes(parse_url(f"redis://127.0.0.1:{server.port}"))
    link = (await nodes.node(Address("127.0.0.1", server.port), Lane.READ)).link

    nothing, info = link.send([]), link.send([("INFO",)])

    assert nothing.done()
    assert nothing.result() == []
    assert len(await info) == 1
    await nodes.close()


async def test_a_read_that_was_lost_under_way_is_asked_once_more(server: ScriptedRedis, store: Store) -> None:
    losses = iter([None])
    server.on_script = lambda _command, _asked: next(losses, NOTHING)

    assert await store.get(samples.session().key) is None
    assert server.calls(READ) == 2


async def test_a_verify_that_was_lost_under_way_is_asked_once_more(
    server: ScriptedRedis, store: Store
) -> None:
    losses = iter([None])
    server.on_script = lambda _command, _asked: next(losses, TWICE_NOTHING)

    assert await store.find_session(DEFAULT_PROJECT, samples.session().id) is None


async def test_the_control_records_are_read_once_for_all_who_ask_together(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: array(b"$-1\r\n", b"$-1\r\n")
    project, deployment = project_key(DEFAULT_PROJECT), deployment_key()

    found = await asyncio.gather(*(store.get_many([deployment, project]) for _ in range(8)))

    assert found == [[None, None]] * 8
    assert server.calls(b"HMGET") == 1


async def test_verifies_and_reads_that_come_together_ask_for_the_control_records_once(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: TWICE_NOTHING
    wanted = [deployment_key(), project_key(DEFAULT_PROJECT)]

    await asyncio.gather(
        store.find_session(DEFAULT_PROJECT, samples.session().id),
        *(store.get_many(wanted) for _ in range(8)),
    )

    assert server.calls(b"HMGET") == 1


def reads_of(store: Store) -> BatchMeasures:
    """Return what *store* counted of its reads."""
    measures = store.measures().reads
    assert measures is not None
    return measures


async def test_a_session_that_several_verify_at_once_is_read_once(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: TWICE_NOTHING
    session, before = samples.session().id, reads_of(store).operations

    found = await asyncio.gather(*(store.find_session(DEFAULT_PROJECT, session) for _ in range(8)))

    assert found == [None] * 8
    assert [command[2] for command in server.commands if command[0] == b"EVALSHA"] == [b"2"]
    assert reads_of(store).operations >= before + 8
    assert reads_of(store).waiting == 0


async def test_an_answer_that_cannot_be_read_is_the_failure_of_each_who_asked(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: array(bulk(b"no record"), bulk(b"no record"))

    outcomes = await asyncio.gather(
        *(store.find_session(DEFAULT_PROJECT, samples.session().id) for _ in range(2)),
        *(store.get_many([deployment_key(), project_key(DEFAULT_PROJECT)]) for _ in range(2)),
        *(store.get_many([samples.session().key, samples.session().key]) for _ in range(2)),
        return_exceptions=True,
    )

    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    server.on_script = lambda _command, _asked: TWICE_NOTHING
    assert await store.find_session(DEFAULT_PROJECT, samples.session().id) is None


def test_a_packed_call_is_what_the_library_makes_of_its_words() -> None:
    keys, words = [b"key", b"an\r\nother"], [b"", b"\0value", b"-1", b"7", b"1802592000000"]

    call = packed_script_call(
        "write", 1, [each_bulk(key) for key in keys], len(keys),
        [each_bulk(b""), each_bulk(b"\0value"), whole(-1), whole(7), whole(1_802_592_000_000)],
    )  # fmt: skip

    assert call.command == hiredis.pack_command(cast("Any", script_call("write", 1, keys, words).command))


async def test_a_read_that_is_lost_twice_is_refused(server: ScriptedRedis, store: Store) -> None:
    server.on_script = lambda _command, _asked: None

    with pytest.raises(Unavailable):
        await store.get(samples.session().key)
    assert server.calls(READ) == 2


async def test_reads_from_several_servers_that_are_given_up_leave_nothing_behind(
    pair: tuple[ScriptedRedis, ScriptedRedis],
) -> None:
    nodes = Nodes(parse_url(f"redis+cluster://127.0.0.1:{pair[0].port}"))
    await nodes.open()
    nodes.moved(1, Address("127.0.0.1", pair[1].port))
    reads = [Call(slot, (READ, b"key")) for slot in (0, 1)]
    for server in pair:
        server.on_script = lambda _command, _asked: NOTHING
    await Caller(nodes).call(reads, Lane.READ)
    asked = asyncio.Queue[Command]()

    def keep_silent(command: Command, _asked: bool) -> Told:
        asked.put_nowait(command)
        return b""

    for server in pair:
        server.on_script = keep_silent
    reading = asyncio.create_task(Caller(nodes).call(reads, Lane.READ))
    for _ in pair:
        await asked.get()

    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    await nodes.close()
    gc.collect()  # what was begun and never waited for would be told now, and fail this test


async def test_a_write_that_was_lost_under_way_is_never_asked_again(
    server: ScriptedRedis, store: Store
) -> None:
    server.on_script = lambda _command, _asked: None

    with pytest.raises(Unavailable):
        await store.revoke([samples.revocation(samples.session())])
    assert server.calls(WRITE) == 1


async def test_a_write_that_was_refused_for_a_forgotten_script_is_asked_again(
    server: ScriptedRedis, store: Store
) -> None:
    def drop_it(_command: Command, _asked: bool) -> Told:
        server.on_script = lambda _command, _asked: array(bulk(b"0"), b":0\r\n")
        return error("NOSCRIPT No matching script")

    server.on_script = drop_it

    await store.touch([Touch(project=DEFAULT_PROJECT, session=samples.session().id, seen_at=1, generation=0)])
    assert server.calls(WRITE) == 2


WRITTEN = array(bulk(b"0"), b":0\r\n")


async def touched(server: ScriptedRedis, query: str) -> None:
    """Write once to *server* by a store whose URL says *query*."""
    server.on_script = lambda _command, _asked: WRITTEN
    store = await open_store(f"redis://127.0.0.1:{server.port}?{query}", role=Role.SERVER)
    try:
        await store.touch(
            [Touch(project=DEFAULT_PROJECT, session=samples.session().id, seen_at=1, generation=0)]
        )
    finally:
        await store.close()


async def test_a_write_is_acknowledged_once_the_disks_have_it_where_that_is_asked_for(
    server: ScriptedRedis,
) -> None:
    server.synced = array(b":1\r\n", b":2\r\n")

    await touched(server, "synced=on&wait=2")

    waits = [command for command in server.commands if command[0] in {b"WAIT", b"WAITAOF"}]
    assert waits
    assert all(command == [b"WAITAOF", b"1", b"2", b"%d" % sending.WAIT_MILLISECONDS] for command in waits)


@pytest.mark.parametrize(
    "synced",
    [
        array(b":0\r\n", b":2\r\n"),
        array(b":1\r\n", b":1\r\n"),
        error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
    ],
    ids=["not on the master's disk", "not on enough replicas' disks", "an error"],
)
async def test_a_write_that_the_disks_do_not_have_in_time_is_refused(
    server: ScriptedRedis, synced: bytes
) -> None:
    server.synced = synced

    with pytest.raises(Unavailable):
        await touched(server, "synced=on&wait=2")


async def test_a_server_that_cannot_tell_of_its_disk_is_refused(server: ScriptedRedis) -> None:
    server.version = "7.0.15"

    with pytest.raises((Unavailable, Misconfigured), match=r"Redis 7\.2"):
        await touched(server, "synced=on")


async def test_who_does_not_ask_for_the_disks_waits_for_no_disk(server: ScriptedRedis) -> None:
    await touched(server, "synced=off&wait=0")

    assert not [command for command in server.commands if command[0] in {b"WAIT", b"WAITAOF"}]
