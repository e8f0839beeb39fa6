"""What a Redis URL may say, and which servers are refused: those that could lose sessions by themselves."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis.address import Address, parse_url
from sessiond.storage.engines.redis.requirements import fault_of, info_from
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.browser.tls import make_certificate
from tests.server_process import ServerProcess, free_port
from tests.servers.patience import patience
from tests.servers.redis import RedisCluster, RedisServer

HERE = Address("127.0.0.1", 6379)


def test_a_url_names_one_server_or_several_of_a_cluster() -> None:
    one = parse_url("redis://localhost:7000/3?namespace=a.b-c_1")
    several = parse_url("redis+cluster://127.0.0.1:7000,[::1]:7001,127.0.0.2")

    assert (one.seeds, one.number, one.cluster, one.namespace) == (
        (Address("localhost", 7000),),
        3,
        False,
        "a.b-c_1",
    )
    assert several.seeds == (Address("127.0.0.1", 7000), Address("::1", 7001), Address("127.0.0.2", 6379))
    assert (several.cluster, several.namespace, several.wait) == (True, "sessiond", None)


def test_a_user_and_a_password_may_hold_any_character_and_are_never_shown() -> None:
    target = parse_url("redis://us%40er:p%2Fss%3Aword@127.0.0.1")

    assert (target.user, target.password) == ("us@er", "p/ss:word")
    assert "word" not in repr(target)
    assert parse_url("redis://:only@127.0.0.1").user is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:6379",
        "redis://host:0",
        "redis://127.0.0.1:70000",
        "redis://127.0.0.1:port",
        "redis://127.0.0.1/number",
        "redis://127.0.0.1,127.0.0.2",
        "redis+cluster://127.0.0.1/1",
        "redis://127.0.0.1?namespace=",
        "redis://127.0.0.1?namespace=a{b}",
        "redis://127.0.0.1?unknown=1",
        "redis://127.0.0.1?wait=1&wait=2",
        "redis://127.0.0.1?wait=-1",
        "redis://127.0.0.1?wait=101",
        "redis://127.0.0.1?tls=yes",
        "redis://127.0.0.1?tls_ca=/nowhere/ca.pem",
        "redis://127.0.0.1?allow=everything",
        "redis://127.0.0.1#fragment",
    ],
)
async def test_a_url_that_says_something_else_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        await open_store(url, role=Role.SERVER)

    assert "\n" not in str(refused.value)


def test_a_server_on_another_machine_needs_tls_unless_told() -> None:
    for host in ("redis.example.com", "10.0.0.7", "[2001:db8::1]"):
        with pytest.raises(Misconfigured, match="another machine"):
            parse_url(f"redis://{host}")
        with pytest.raises(Misconfigured, match="another machine"):
            parse_url(f"redis+cluster://127.0.0.1,{host}")
        assert parse_url(f"redis://{host}?tls=on").tls_context() is not None
        assert parse_url(f"redis://{host}?tls=off").tls_context() is None
    assert parse_url("redis://localhost").tls_context() is None


GOOD = {
    "redis_version": "7.0.15",
    "cluster_enabled": "0",
    "loading": "0",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, None),
        ({"redis_version": "6.0.16"}, "older than Redis 6.2"),
        ({"redis_version": "nonsense"}, "older than Redis 6.2"),
        ({"redis_version": "10.1.0"}, None),
        ({"cluster_enabled": "1"}, r"use redis\+cluster://"),
        ({"loading": "1"}, "still loading"),
        ({"role": "slave"}, "is a replica"),
        ({"maxmemory_policy": "allkeys-lru"}, "may evict sessions .*allow=eviction"),
        ({"aof_enabled": "0"}, "append-only file.*allow=no-aof"),
    ],
)
def test_a_server_is_refused_for_what_could_lose_sessions(told: dict[str, str], words: str | None) -> None:
    fault = fault_of(GOOD | told, parse_url("redis://127.0.0.1"), HERE)

    if words is None:
        assert fault is None
    else:
        with pytest.raises(Misconfigured, match=words):
            raise Misconfigured(str(fault))


def test_what_the_operator_allows_is_not_refused() -> None:
    lax = GOOD | {"maxmemory_policy": "allkeys-lru", "aof_enabled": "0"}

    assert fault_of(lax, parse_url("redis://127.0.0.1?allow=eviction,no-aof"), HERE) is None
    assert fault_of(lax, parse_url("redis://127.0.0.1?allow=eviction"), HERE) is not None
    assert fault_of(GOOD, parse_url("redis+cluster://127.0.0.1"), HERE) is not None


def test_info_is_read_field_by_field() -> None:
    assert info_from(b"# Server\r\nredis_version:7.0.15\r\n\r\nrole:master\r\n") == {
        "redis_version": "7.0.15",
        "role": "master",
    }


async def test_no_server_at_the_url_is_said_in_one_sentence() -> None:
    with pytest.raises(Misconfigured, match=r"cannot be opened.*127\.0\.0\.1:1 cannot be reached"):
        await open_store("redis://127.0.0.1:1", role=Role.SERVER)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
async def test_servers_that_may_lose_sessions_are_refused_at_the_start() -> None:
    with RedisServer.started(**{"maxmemory-policy": "volatile-lru"}) as server:
        with pytest.raises(Misconfigured, match="may evict sessions"):
            await open_store(server.url(), role=Role.SERVER)
        store = await open_store(server.url(allow="eviction"), role=Role.SERVER)
        await store.close()
    with RedisServer.started(appendonly="no") as server, pytest.raises(Misconfigured, match="append-only"):
        await open_store(server.url(), role=Role.SERVER)


async def test_the_scheme_must_fit_the_server(redis_server: RedisServer, redis_cluster: RedisCluster) -> None:
    node = redis_cluster.nodes[0]
    with pytest.raises(Misconfigured, match=r"use redis\+cluster://"):
        await open_store(f"redis://127.0.0.1:{node.port}", role=Role.SERVER)
    with pytest.raises(Misconfigured, match="use redis://"):
        await open_store(f"redis+cluster://127.0.0.1:{redis_server.port}", role=Role.SERVER)


async def test_one_reachable_node_is_enough_to_find_a_cluster(redis_cluster: RedisCluster) -> None:
    for node in redis_cluster.nodes:
        store = await open_store(f"redis+cluster://127.0.0.1:1,127.0.0.1:{node.port}", role=Role.SERVER)
        await store.close()


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
async def test_credentials_are_used_and_wrong_ones_refused_without_being_shown() -> None:
    with RedisServer.started(requirepass="a-password") as server:
        url = f"redis://:{{}}@127.0.0.1:{server.port}"
        with pytest.raises(Misconfigured) as refused:
            await open_store(url.format("wrong-password"), role=Role.SERVER)
        assert "wrong-password" not in str(refused.value)
        with pytest.raises(Misconfigured):
            await open_store(f"redis://127.0.0.1:{server.port}", role=Role.SERVER)
        store = await open_store(url.format("a-password"), role=Role.SERVER)
        assert await store.newest_event() == 0
        await store.close()


async def test_namespaces_and_numbered_databases_are_apart(redis_server: RedisServer) -> None:
    first = await open_store(redis_server.url("one"), role=Role.SERVER)
    second = await open_store(redis_server.url("two"), role=Role.SERVER)
    numbered = await open_store(f"redis://127.0.0.1:{redis_server.port}/1?namespace=one", role=Role.SERVER)
    session = samples.session()
    await first.apply(samples.put(session))

    assert await first.get(session.key) == session
    assert await second.get(session.key) is None
    assert await numbered.get(session.key) is None
    for store in (first, second, numbered):
        await store.close()


@pytest.mark.slow
async def test_what_an_answered_write_rests_on_is_told(
    redis_cluster: RedisCluster, redis_server: RedisServer
) -> None:
    told = []
    for url in (redis_cluster.url(), redis_cluster.url(wait="0"), redis_server.url()):
        store = await open_store(url, role=Role.SERVER)
        told.append(store.durability())
        await store.close()
    with RedisServer.started(appendfsync="always") as synced:
        store = await open_store(synced.url(), role=Role.SERVER)
        told.append(store.durability())
        await store.close()

    replicas, disk = "replicas that have confirmed it: {}", "synced to its master's disk: {}at every write"
    assert told == [
        "; ".join((replicas.format(count), disk.format(word)))
        for count, word in ((1, "not "), (0, "not "), (0, "not "), (0, ""))
    ]


@pytest.mark.slow
def test_readyz_tells_it_too(redis_server: RedisServer, tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path, settings={"SESSIOND_DATABASE": redis_server.url()}) as server:
        answer = httpx.get(f"{server.url}/readyz").json()

    assert answer["status"] == "ready"
    assert answer["durability"].startswith("replicas that have confirmed it: 0")


@pytest.mark.slow
async def test_tls_is_spoken_with_a_server_whose_certificate_is_known_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (known := tmp_path / "known").mkdir()
    (other := tmp_path / "other").mkdir()
    certificate, stranger = make_certificate(known), make_certificate(other)
    port = free_port()
    settings = {
        "tls-port": str(port),
        "tls-cert-file": str(certificate.path),
        "tls-key-file": str(certificate.key_path),
        "tls-auth-clients": "no",
    }
    with RedisServer.started(**settings) as server:
        with patience(monkeypatch):
            session = samples.session()
            store = await open_store(f"redis://localhost:{port}?tls_ca={certificate.path}", role=Role.SERVER)
            await store.apply(samples.put(session))
            assert await store.get(session.key) == session
            await store.close()

            for ours in (
                f"redis://localhost:{port}?tls_ca={stranger.path}",
                f"redis://localhost:{port}?tls=on",
            ):
                with pytest.raises(Misconfigured, match="certificate"):
                    await open_store(ours, role=Role.SERVER)
        with pytest.raises(Misconfigured):
            await open_store(f"redis://localhost:{port}", role=Role.SERVER)
        with pytest.raises(Misconfigured):
            await open_store(f"redis://localhost:{server.port}?tls_ca={certificate.path}", role=Role.SERVER)
