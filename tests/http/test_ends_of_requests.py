"""Where a request ends, what is still answered when a connection does, and what a client cannot hold it open with."""

from __future__ import annotations

import pytest

from sessiond.http.limits import Limits
from tests.http.surface import Surface, Wire
from tests.http.test_known_heads import GET, HOST, Served, post

INSTANT = GET.replace(b"/odd/1", b"/instant")
CREATE = (
    b"POST /odd HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    b'Content-Length: 12\r\n\r\n{"name":"n"}'
)
EXPECTING = b"Expect: 100-continue\r\n"


@pytest.mark.parametrize("space", [b" ", b"\t", b" \t "])
async def test_white_space_behind_a_header_is_no_part_of_it_however_it_is_cut(space: bytes) -> None:
    request = post(b"abc").replace(b"localhost\r\n", b"localhost%b\r\n" % space)
    request = request.replace(b"Length: 3", b"Length: 3%b" % space)

    for cut in range(1, len(request)):
        answers, ended = await Served().answers([request[:cut], request[cut:]])

        assert (b'"value":"abc"' in answers, ended) == (True, False)


@pytest.mark.parametrize("line", [b"POST /odd", b"POST /odd HTTP/0.9", b"POST /odd HTTP/2.0"])
@pytest.mark.parametrize("kept", [b"", b"Connection: keep-alive\r\n", b"Proxy-Connection: keep-alive\r\n"])
async def test_nothing_is_done_in_a_version_that_is_not_spoken(line: bytes, kept: bytes) -> None:
    served = Served()
    request = CREATE.replace(b"POST /odd HTTP/1.1\r\n", line + b"\r\n" + kept)

    answers, ended = await served.answers([request + CREATE])

    assert (answers[:12], ended, served.surface.world.reached) == (b"HTTP/1.1 400", True, [])


@pytest.mark.parametrize(
    ("request_bytes", "body"),
    [(post(GET, headers=EXPECTING).replace(b"/raw", b"/nowhere"), GET), (INSTANT, b"")],
    ids=["refused", "answered at once"],
)
async def test_what_follows_an_answer_is_not_taken_for_a_body_that_was_not_asked_for(
    request_bytes: bytes, body: bytes
) -> None:
    head = request_bytes.removesuffix(body)
    if not body:
        head = head.replace(b"\r\n\r\n", b"\r\n%bContent-Length: %d\r\n\r\n" % (EXPECTING, len(GET)))

    answers, ended = await Served().answers([head])

    assert (answers.count(b"HTTP/1.1 "), b"connection: close" in answers, ended) == (1, True, True)


async def test_a_client_of_an_older_version_is_sent_no_continue() -> None:
    served = Served()
    request = post(b"abc", headers=EXPECTING).replace(b"HTTP/1.1", b"HTTP/1.0")
    protocol, line = served.connected()

    protocol.data_received(request[:-1])
    await served.settle(protocol)
    assert line.written == b""
    protocol.data_received(request[-1:])
    await served.settle(protocol)

    assert line.written.startswith(b"HTTP/1.1 200 OK")


async def test_complete_requests_are_answered_before_what_cannot_be_read_ends_their_connection() -> None:
    served = Served()

    answers, ended = await served.answers([CREATE * 3 + b"nonsense\r\n\r\n" + CREATE])

    assert (answers.count(b"HTTP/1.1 201"), answers.count(b"HTTP/1.1 "), ended) == (3, 3, True)
    assert served.surface.world.reached == ["n"] * 3


async def test_bodies_that_nobody_reads_are_counted_for_each_request() -> None:
    said = INSTANT.replace(b"\r\n\r\n", b"\r\nContent-Length: 65536\r\n\r\n")

    answers, ended = await Served().answers([said, b"a" * 65_536] * 20)

    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (20, False)


async def test_nothing_is_done_behind_a_body_that_was_too_long_to_wait_for() -> None:
    served = Served()
    said = INSTANT.replace(b"\r\n\r\n", b"\r\nContent-Length: 1100000\r\n\r\n")

    _, ended = await served.answers([said, b"a" * 1_100_000 + CREATE])

    assert (ended, served.surface.world.reached) == (True, [])


@pytest.mark.parametrize("begun", [GET[:-4], CREATE[:-12].replace(b"12", b"99")], ids=["a head", "a body"])
async def test_a_client_that_does_not_read_wins_no_time_by_sending(begun: bytes) -> None:
    served = Served()
    protocol, line = served.connected()
    protocol.data_received(INSTANT)
    protocol.pause_writing()

    protocol.data_received(begun)
    for second in range(Limits().stalled_seconds + 1):
        assert not line.closed, f"ended after {second} s"
        served.ticks.now += 1
        protocol.data_received(b"a")
        protocol.sweep()

    assert line.closed


async def test_who_says_that_nothing_more_comes_is_still_answered() -> None:
    surface = Surface()
    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/wait")
        await surface.world.arrived.wait()
        wire.writer.write_eof()
        async with Wire.to(server) as other:
            other.get("/odd/1")
            await other.answer()
        surface.world.gate.set()

        answer = await wire.answer()
        assert (answer.status, await wire.ended()) == (200, b"")


@pytest.mark.parametrize("begun", [b"", GET, b"GET /odd", CREATE[:-1]])
async def test_who_has_nothing_more_to_say_and_waits_for_nothing_is_left(begun: bytes) -> None:
    surface = Surface()
    async with surface.served() as server, Wire.to(server) as wire:
        if begun == GET:
            wire.send(GET)
            await wire.answer()
        else:
            wire.send(begun)
        wire.writer.write_eof()

        assert await wire.ended() == b""
    assert surface.world.reached == []
