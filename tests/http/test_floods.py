"""What one client sends on one connection can make the server neither keep nor copy more than a little."""

from __future__ import annotations

import pytest

from sessiond.http.protocol import Protocol
from tests.http.test_known_heads import GET, HOST, Line, Served, post

CHUNKED = b"POST /raw HTTP/1.1\r\n%bContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" % HOST


class Noting(Line):
    """A line that notes how many requests wait whenever more is read."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[int] = []
        self.protocol: Protocol | None = None

    def resume_reading(self) -> None:
        assert self.protocol is not None
        self.waiting.append(len(self.protocol.pipeline))


async def test_nothing_more_is_read_while_requests_wait_for_their_turn() -> None:
    served, line = Served(), Noting()
    line.protocol, _ = served.connected(line)

    line.protocol.data_received(GET * 10)
    await served.settle(line.protocol)

    assert (line.written.count(b"HTTP/1.1 200 OK"), line.waiting) == (10, [0])


async def test_of_many_requests_that_come_at_once_few_are_read_before_their_turn() -> None:
    served, line = Served(), Noting()
    line.protocol, _ = served.connected(line)

    line.protocol.data_received(GET * 1500 + post(b"the last")[:-1])
    waiting = len(line.protocol.pipeline)
    await served.settle(line.protocol)
    line.protocol.data_received(b"t")
    await served.settle(line.protocol)

    assert (line.written.count(b"HTTP/1.1 200 OK"), waiting <= 16_384 // len(GET)) == (1501, True)
    assert line.written.endswith(b'"value":"the last"},"caller":null,"address":"127.0.0.1"}')


@pytest.mark.parametrize("piece", [999, 20_000])
async def test_heads_are_counted_each_by_itself_however_many_come_in_pieces_that_end_within_them(
    piece: int,
) -> None:
    requests = GET.replace(b"/odd/1", b"/instant") * 3000

    answers, ended = await Served().answers(
        [requests[begin : begin + piece] for begin in range(0, len(requests), piece)]
    )

    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (3000, False)


async def test_a_body_in_many_small_pieces_is_gathered_in_one_place() -> None:
    served = Served()
    protocol, line = served.connected()

    protocol.data_received(CHUNKED + b"1\r\na\r\n1\r\nb\r\n")
    place = protocol.cycle.body
    protocol.data_received(b"1\r\nc\r\n" * 100 + b"0\r\n\r\n")

    assert protocol.cycle.body is place
    await served.settle(protocol)
    assert b'"value":"ab%b"' % (b"c" * 100) in line.written


async def test_trailers_are_no_headers_and_end_somewhere() -> None:
    served = Served()
    chunked = CHUNKED.replace(b"/raw", b"/cookie")

    answers, ended = await served.answers([chunked + b"0\r\nCookie: sid=1\r\n\r\n"])
    _, refused = await served.answers([chunked + b"0\r\n", *[b"X-More: %b\r\n" % (b"a" * 1024)] * 100])
    _, answered = await served.answers(
        [chunked.replace(b"/cookie", b"/nothing") + b"0\r\nX: ", *[b"a" * 1024] * 100]
    )

    assert (b'"value":null' in answers, ended) == (True, False)
    assert (refused, answered) == (True, True)


async def test_nothing_that_follows_a_head_that_is_too_long_is_done() -> None:
    served = Served()
    too_long = GET.replace(b"\r\n\r\n", b"\r\nX: %b\r\n\r\n" % (b"a" * 40_000))

    answers, ended = await served.answers([too_long + post(b"a")])

    assert (answers[:12], ended, served.surface.world.reached) == (b"HTTP/1.1 431", True, [])


async def test_the_body_of_a_head_that_is_too_long_is_not_taken_for_the_body_before_it() -> None:
    served = Served()
    too_long = post(b"smuggled", headers=b"X: %b\r\n" % (b"a" * 40_000))

    answers, ended = await served.answers([post(b"ab")[:-1], b"b" + too_long])

    assert (b'"value":"ab"' in answers, b"smuggled" in answers, ended) == (True, False, True)
