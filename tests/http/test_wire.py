"""What is on the wire: raw bytes over TCP."""

from __future__ import annotations

import asyncio

import pytest

from sessiond.http.limits import Limits
from tests.http.surface import Surface, Wire

LENGTH_AND_CHUNKS = (
    b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /odd/1 HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n",
        b"GET /odd/1 HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /odd/1 HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\n",
        b"POST /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n",
        b"POST /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked, x\r\n\r\n",
        LENGTH_AND_CHUNKS,
        b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_what_cannot_be_read_without_doubt_is_refused_and_the_connection_ends(data: bytes) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.send(data)
        answer = await wire.answer()
        rest = await wire.ended()

    assert answer.status == 400
    assert answer.header("connection") == "close"
    assert answer.header("x-request-id") == answer.json["request_id"]
    assert rest == b""
    assert surface.world.reached == []
    assert [line["status"] for line in surface.log_lines() if line["path"] == "-"] == [400]


async def test_two_host_headers_are_refused_on_the_wire_too() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        for path in ("/odd/1", "/instant"):
            wire.get(path, "Host: other")
            assert (await wire.answer()).json == {"oops": "bad_host"}


async def test_a_request_without_a_host_is_refused() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.send(b"GET /odd/1 HTTP/1.1\r\n\r\n")

        assert (await wire.answer()).json == {"oops": "bad_host"}


async def test_a_chunked_body_without_a_length_is_limited_like_any_other() -> None:
    surface = Surface()
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"

    async with surface.served() as server, Wire.to(server) as wire:
        head = "Transfer-Encoding: chunked", "Content-Type: application/json"
        wire.get("/odd", *head, method="POST")
        wire.send(chunk * 5, b"0\r\n\r\n")
        too_long = await wire.answer()
        wire.get("/odd", *head, method="POST")
        wire.send(chunk * 3, b'c\r\n{"name":"n"}\r\n0\r\n\r\n')
        taken = await wire.answer()

    assert (too_long.status, too_long.json) == (413, {"oops": "body_too_large"})
    assert taken.status == 201


async def test_a_body_that_nobody_reads_is_waited_for_only_so_long() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/odd", "Content-Type: application/json", "Content-Length: 100000000", method="POST")
        refused = await wire.answer()
        for _ in range(64):
            wire.send(b"x" * 65_536)
        rest = await wire.ended()

    assert refused.status == 413
    assert rest == b""


async def test_a_request_in_single_bytes_is_put_together() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        head = (
            b"POST /odd HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"
        )
        for byte in head + b'{"name":"n"}':
            wire.send(bytes([byte]))
            await wire.writer.drain()

        assert (await wire.answer()).status == 201


async def test_pipelined_requests_are_answered_in_order_instant_ones_too() -> None:
    surface = Surface()
    instant = b"GET /instant HTTP/1.1\r\nHost: a\r\n\r\n"
    waiting = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"
    plain = b"GET /odd/7 HTTP/1.1\r\nHost: a\r\n\r\n"

    async with surface.served() as server, Wire.to(server) as wire:
        wire.send(instant, waiting, instant, plain, instant)
        first = await wire.answer()
        await surface.world.arrived.wait()
        surface.world.gate.set()
        rest = [(await wire.answer()).json for _ in range(4)]

    assert first.json == {"at": "once"}
    assert [answer["value"] for answer in rest] == [None, None, "7", None]
    assert len(surface.log_lines()) == 5


async def test_an_instant_answer_is_a_whole_answer() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/instant", "X-Request-Id: given-from-outside")
        answer = await wire.answer()

    assert (answer.status, answer.json) == (200, {"at": "once"})
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-request-id") == "given-from-outside"
    assert answer.header("date")
    assert answer.header("server") is None
    (line,) = surface.log_lines()
    assert (line["path"], line["status"], line["request_id"]) == ("/instant", 200, "given-from-outside")


@pytest.mark.parametrize(
    ("want", "status", "shape"),
    [
        ("answer", 203, {"at": "once"}),
        ("refusal", 404, {"oops": "oddity_not_found"}),
        ("defect", 500, {"oops": "internal_error"}),
    ],
)
async def test_an_instant_endpoint_may_answer_refuse_or_fail(want: str, status: int, shape: object) -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get("/instant", f"X-Want: {want}")
        answer = await wire.answer()

    assert (answer.status, answer.json) == (status, shape)
    assert (answer.header("x-more") == "1") is (want == "answer")


async def test_an_instant_endpoint_may_leave_it_to_its_handler() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get("/instant", "X-Want: handler")
        by_handler = await wire.answer()
        wire.get("/instant?query=1")
        with_query = await wire.answer()
        wire.get("/instant", method="HEAD")
        head = await wire.answer(with_body=False)
        wire.get("/instant", method="DELETE")
        refused = await wire.answer()

    assert by_handler.json["method"] == "GET"
    assert with_query.json["method"] == "GET"
    assert (head.status, refused.status) == (200, 405)


async def test_an_instant_answer_of_a_dialect_with_cors_and_decoration_has_both() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get("/open/plain")
        answer = await wire.answer()

    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("x-odd-request-id") == answer.header("x-request-id")


@pytest.mark.parametrize("path", ["/instant", "/odd/1"])
async def test_a_client_that_asks_for_it_is_closed_on(path: str) -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get(path, "Connection: close")
        answer = await wire.answer()

        assert answer.header("connection") == "close"
        assert await wire.ended() == b""


async def test_http_1_0_is_answered_and_closed_on() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.send(b"GET /instant HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = await wire.answer()

        assert answer.status == 200
        assert await wire.ended() == b""


async def test_an_upgrade_is_not_followed() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get(
            "/odd/1",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        )

        assert (await wire.answer()).status == 200


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get(
            "/odd",
            "Content-Type: application/json",
            "Content-Length: 12",
            "Expect: 100-continue",
            method="POST",
        )
        assert (await wire.answer()).status == 100
        wire.send(b'{"name":"n"}')

        assert (await wire.answer()).status == 201


async def test_a_refused_body_is_not_asked_for_with_100_continue() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get(
            "/key",
            "Content-Type: application/json",
            "Content-Length: 12",
            "Expect: 100-continue",
            method="POST",
        )

        assert (await wire.answer()).status == 401


@pytest.mark.parametrize("path", ["/instant", "/odd/1"])
async def test_a_head_over_the_limit_is_refused_in_one_piece_and_in_many(path: str) -> None:
    surface = Surface()
    async with surface.served(limits=Limits(head_bytes=4096)) as server:
        async with Wire.to(server) as wire:
            wire.get(path, "X: " + "x" * 5000)
            whole = await wire.answer()
        async with Wire.to(server) as wire:
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX: ".encode())
            for _ in range(80):
                wire.send(b"x" * 1024)
                await wire.writer.drain()
            endless = await wire.answer()
        async with Wire.to(server) as wire:
            wire.get(path, "X: " + "x" * 3000)
            fitting = await wire.answer()

    assert (whole.status, endless.status, fitting.status) == (431, 431, 200)


async def test_a_client_that_goes_away_does_not_stop_what_it_began() -> None:
    surface = Surface()

    async with surface.served() as server:
        async with Wire.to(server) as wire:
            wire.get("/wait")
            await surface.world.arrived.wait()
        surface.world.gate.set()
        async with Wire.to(server) as wire:
            wire.get("/odd/1")
            await wire.answer()

    assert surface.world.finished == 1


async def test_a_client_that_goes_away_within_its_body_reaches_no_handler() -> None:
    surface = Surface()

    async with surface.served() as server:
        async with Wire.to(server) as wire:
            wire.get("/odd", "Content-Type: application/json", "Content-Length: 12", method="POST")
            wire.send(b'{"name"')
            await wire.writer.drain()
        async with Wire.to(server) as wire:
            wire.get("/odd/1")
            await wire.answer()

    assert surface.world.reached == []
    assert sorted(line["status"] for line in surface.log_lines()) == [200, 499]


async def test_garbage_after_a_request_does_not_hide_its_answer() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n", b"garbage garbage\r\n\r\n")
        await surface.world.arrived.wait()
        surface.world.gate.set()
        answer = await wire.answer()

        assert answer.status == 200
        assert await wire.ended() == b""


async def test_thousand_requests_on_many_connections_are_each_answered_once() -> None:
    surface = Surface()

    async def one(server: object, number: int) -> list[object]:
        async with Wire.to(server) as wire:  # type: ignore[arg-type]
            values = []
            for place in range(20):
                wire.get(f"/odd/{number}-{place}")
                values.append((await wire.answer()).json["value"])
                wire.get("/instant")
                values.append((await wire.answer()).json["at"])
            return values

    async with surface.served() as server:
        answers = await asyncio.gather(*(one(server, number) for number in range(50)))

    for number, values in enumerate(answers):
        assert values == [value for place in range(20) for value in (f"{number}-{place}", "once")]
    assert len({line["request_id"] for line in surface.log_lines()}) == 2000
