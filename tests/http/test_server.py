"""Starting, limiting and stopping the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.http.limits import Limits
from sessiond.http.server import HttpServer, bind, run, serve
from tests.http.surface import Surface, Wire


def test_a_port_in_use_is_one_clear_sentence() -> None:
    (taken,) = bind("127.0.0.1", 0)
    port = taken.getsockname()[1]

    with pytest.raises(Misconfigured, match=rf"^Port {port} on 127\.0\.0\.1 is in use; [^.]*\.$"):
        bind("127.0.0.1", port)

    taken.close()


@pytest.mark.parametrize(
    ("host", "said"),
    [("192.0.2.1", "is not an address of this machine"), ("no such host.invalid", "cannot be resolved")],
)
def test_a_host_that_is_not_here_is_one_clear_sentence(host: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        bind(host, 0)


def test_a_name_with_two_addresses_gets_one_port_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: both)

    sockets = bind("localhost", 0)

    assert [listener.getsockname()[0] for listener in sockets] == ["127.0.0.1", "::1"]
    assert len({listener.getsockname()[1] for listener in sockets}) == 1
    for listener in sockets:
        listener.close()


async def test_stopping_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    surface = Surface()
    server = HttpServer(surface.app, bind("127.0.0.1", 0), drain_seconds=600)
    await server.start()

    async with Wire.to(server) as busy, Wire.to(server) as idle:
        idle.get("/odd/1")
        await idle.answer()
        busy.get("/wait")
        await surface.world.arrived.wait()
        server.stop()
        assert await idle.ended() == b""
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection(*server.addresses[0])
        surface.world.gate.set()
        answer = await busy.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        await asyncio.wait_for(server.wait(), 120)

    assert surface.world.finished == 1


async def test_stopping_does_not_wait_longer_than_it_is_told() -> None:
    surface = Surface()
    server = HttpServer(surface.app, bind("127.0.0.1", 0), drain_seconds=0)
    await server.start()

    async with Wire.to(server) as wire:
        wire.get("/wait")
        await surface.world.arrived.wait()
        server.stop()
        await asyncio.wait_for(server.wait(), 120)
        assert await wire.ended() == b""

    assert surface.world.finished == 0


async def test_a_second_stop_does_not_wait_at_all() -> None:
    surface = Surface()
    server = HttpServer(surface.app, bind("127.0.0.1", 0), drain_seconds=600)
    await server.start()

    async with Wire.to(server) as wire:
        wire.get("/wait")
        await surface.world.arrived.wait()
        server.stop()
        server.stop()
        await asyncio.wait_for(server.wait(), 120)


def test_sigterm_drains_and_then_serve_returns() -> None:
    surface = Surface()
    sockets = bind("127.0.0.1", 0)
    started: list[object] = []

    async def main() -> str:
        async def ask() -> bytes:
            await until_started.wait()
            reader, writer = await asyncio.open_connection(*sockets_address)
            writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            await surface.world.arrived.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            asyncio.get_running_loop().call_later(0.3, surface.world.gate.set)
            answered = await reader.read()
            writer.close()
            return answered

        until_started = asyncio.Event()
        sockets_address = sockets[0].getsockname()
        asking = asyncio.create_task(ask())

        def on_started(addresses: object) -> None:
            started.append(addresses)
            until_started.set()

        await serve(surface.app, sockets, on_started=on_started, drain_seconds=600)
        return (await asking).decode()

    surface.world.arrived = asyncio.Event()
    answered = run(main())

    assert answered.startswith("HTTP/1.1 200 OK")
    assert len(started) == 1
    assert surface.log_lines()[0]["path"] == "/wait"


async def test_connections_over_the_limit_get_503() -> None:
    async with Surface().served(limits=Limits(connections=1)) as server, Wire.to(server) as first:
        first.get("/odd/1")
        await first.answer()
        async with Wire.to(server) as second:
            refused = await second.answer()
        first.get("/odd/1")

        assert (refused.status, refused.header("retry-after")) == (503, "1")
        assert refused.json["code"] == "too_many_connections"
        assert (await first.answer()).status == 200


SHORT = Limits(head_seconds=1, body_seconds=1, idle_seconds=600)
SHORT_BETWEEN_REQUESTS = Limits(head_seconds=600, body_seconds=600, idle_seconds=1)


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"", 408),
        (b"GET /odd/1 HTTP/1.1\r\nHost: a\r\nX", 408),
        (
            b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
            408,
        ),
    ],
)
@pytest.mark.slow
async def test_a_client_that_is_too_slow_is_told_so_and_closed_on(begin: bytes, status: int) -> None:
    surface = Surface()
    async with surface.served(limits=SHORT) as server, Wire.to(server) as wire:
        wire.send(begin)
        answer = await wire.answer()

        assert (answer.status, answer.json["code"]) == (status, "too_slow")
        assert await wire.ended() == b""
    assert surface.world.reached == []


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/instant", "/odd/1"])
async def test_an_idle_connection_is_closed_on_silently(path: str) -> None:
    async with Surface().served(limits=SHORT_BETWEEN_REQUESTS) as server, Wire.to(server) as wire:
        wire.get(path)
        assert (await wire.answer()).status == 200

        assert await wire.ended() == b""


@pytest.mark.slow
async def test_a_slow_handler_is_not_taken_for_a_slow_client() -> None:
    surface = Surface()
    limits = Limits(head_seconds=3, body_seconds=3)  # long enough for a client that sends all of it at once
    async with surface.served(limits=limits) as server, Wire.to(server) as idle, Wire.to(server) as wire:
        wire.get("/wait", "Content-Type: application/json", "Content-Length: 12", method="POST")
        wire.send(b'{"name":"n"}')
        await idle.ended()  # two sweeps and more have passed
        surface.world.gate.set()

        assert (await wire.answer()).status == 200


@pytest.mark.parametrize(
    ("soft", "hard", "connections"),
    [(1024, 1024, 768), (1024, 4096, 3840), (1024, 1 << 20, 16_384), (1024, -1, 16_384), (-1, -1, 16_384)],
)
def test_connections_are_bounded_by_the_files_that_may_be_opened(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, connections: int
) -> None:
    limit = [soft, hard]
    monkeypatch.setattr("resource.getrlimit", lambda _which: tuple(limit))
    monkeypatch.setattr("resource.setrlimit", lambda _which, wanted: limit.__setitem__(0, wanted[0]))

    assert Limits().within_files().connections == connections
    assert Limits(connections=10).within_files().connections == 10
    assert limit[0] in {soft, hard, 16_384 + 256}
