"""A head that was read before is not parsed again: nobody can tell, however requests are written and cut."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from sessiond.http.head import Head, Heads
from sessiond.http.instant import InstantAnswers
from sessiond.http.limits import Limits
from sessiond.http.protocol import Protocol, Ticks
from tests.http.surface import Surface

_REQUEST_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

HOST = b"Host: localhost\r\n"
GET = b"GET /odd/1 HTTP/1.1\r\n" + HOST + b"\r\n"


def post(body: bytes, *, length: int | None = None, headers: bytes = b"") -> bytes:
    said = len(body) if length is None else length
    return (
        b"POST /raw HTTP/1.1\r\n%bContent-Type: text/plain\r\n%bContent-Length: %d\r\n\r\n%b"
        % (HOST, headers, said, body)
    )  # fmt: skip


GOING_ON = (
    GET,
    GET.replace(b"GET", b"HEAD"),
    GET.replace(b"/odd/1", b"/odd/2?a=b"),
    GET.replace(b"/odd/1", b"/instant"),
    GET.replace(b"/odd/1", b"/instant?"),
    GET.replace(b"/odd/1", b"/later"),
    GET.replace(b"/odd/1", b"http://localhost/odd/3"),
    GET.replace(b"Host", b"hOST"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nAccept: a\r\nAccept: b\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
    GET.replace(b"/odd/1", b"/instant").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
    b"\r\n" + GET,
    b"\r\n\r\n" + GET,
    post(b"a"),
    post(b"b"),
    post(b"abcdefghij"),
    post(b""),
    post(b"\r\n\r\n"),
    post(GET),
    post(b"a\r\n\r\n" + GET),
    post(b"expected", headers=b"Expect: 100-continue\r\n"),
    b"POST /raw HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
    b"1\r\nx\r\n0\r\n\r\n",
    post(b"", headers=b"Origin: https://elsewhere.example\r\n"),
)  # fmt: skip
ENDING = (
    GET.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"\r\n\r\n", b"\r\nProxy-Connection: keep-alive\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    GET.replace(b"\r\n", b"\n"),
    post(b"A\r\n\r\nB").replace(b"\r\n", b"\n"),
    post(b"abc", length=-1),
    post(b"abc", headers=b"Content-Length: 4\r\n"),
    post(b"abc", headers=b"Transfer-Encoding: chunked\r\n"),
    b"no request\r\n\r\n",
)


class Line(asyncio.Transport):
    """The other end of a connection: what was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:  # noqa: ANN401  as the transport it stands for
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  as above
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def pause_reading(self) -> None:
        """Whoever feeds waits for the answers."""

    def resume_reading(self) -> None:
        """As above."""


class Served:
    """A surface whose connections are fed by hand."""

    def __init__(self) -> None:
        self.surface = Surface()
        self.heads = Heads()
        self.ticks = Ticks()
        self._config = Config(self.surface.app, log_config=None)
        self._config.load()

    def connected(self, line: Line | None = None) -> tuple[Protocol, Line]:
        """Return a new connection, and its other end."""
        line = line or Line()
        protocol = Protocol(
            self._config,
            ServerState(),
            {},
            asyncio.get_running_loop(),
            ticks=self.ticks,
            limits=Limits(),
            instants=InstantAnswers(self.surface.app),
            heads=self.heads,
            sessiond=self.surface.app,
        )
        protocol.connection_made(line)
        return protocol, line

    async def answers(self, chunks: Sequence[bytes]) -> tuple[bytes, bool]:
        """Return what comes back on a new connection, without request ids and `Continue`, and whether it was closed."""
        protocol, line = self.connected()
        for chunk in chunks:
            if not line.closed:
                protocol.data_received(chunk)
                await self.settle(protocol)
        return _REQUEST_ID.sub(b"", line.written.replace(_CONTINUE, b"")), line.closed

    async def settle(self, protocol: Protocol) -> None:
        """Wait until no request is left that is whole and not answered."""
        async with asyncio.timeout(120):
            for _ in range(20):
                await asyncio.sleep(0)
            while protocol.tasks and not protocol.cycle.more_body:
                await asyncio.wait(protocol.tasks, return_when=asyncio.FIRST_COMPLETED)

    async def read_anew(self, requests: Sequence[bytes], *more: bytes) -> tuple[bytes, bool]:
        """Return the answers to requests that come in two pieces each, so that they are parsed in any case."""
        halves = [part for request in (*requests, *more) for part in (request[:7], request[7:])]
        return await self.answers(halves)


def is_known(heads: Heads, request: bytes) -> bool:
    """Tell whether *request* is found to be one whole request with a head that is kept."""
    end = request.find(b"\r\n\r\n") + 4
    return heads.find(request[:end], len(request) - end) is not None


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(stream) + 1) for place in places} | {0, len(stream)})
    return [stream[begin:end] for begin, end in itertools.pairwise(ends)]


@given(
    requests=st.lists(st.sampled_from(GOING_ON), min_size=1, max_size=6),
    last=st.sampled_from(ENDING),
    places=st.lists(st.integers(0, 3000), max_size=6),
)
def test_requests_are_answered_alike_with_heads_known_or_not_and_however_they_are_cut(
    requests: list[bytes], last: bytes, places: list[int]
) -> None:
    async def main() -> None:
        served = Served()
        answers, ended = await served.read_anew(requests, last)
        assert await served.answers([*requests, last]) == (answers, ended)
        assert await served.answers([*requests, last]) == (answers, ended)
        # What waits behind another is never answered instantly, and these two endpoints say so.
        tasks = [request for request in requests if b"/instant" not in request and b"/later" not in request]
        assert await served.answers(cut(b"".join(tasks), places)) == await served.read_anew(tasks)

    asyncio.run(main())


async def test_what_has_the_same_head_gets_an_answer_of_its_own() -> None:
    served = Served()

    bodies = [
        (await served.answers([post(body)]))[0].partition(b"\r\n\r\n")[2] for body in (b"a", b"b", b"a")
    ]

    assert [body.count(b'"value":"a"') for body in bodies] == [1, 0, 1]
    assert is_known(served.heads, post(b"c"))


@pytest.mark.parametrize(
    "before",
    [
        GET.replace(b"/odd/1", b"/instant").replace(
            b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(GET)
        ),
        b"GET /instant HTTP/1.1\r\nX-Half: ",
        b"G",
    ],
)
async def test_what_begins_within_another_request_is_no_request_though_it_looks_like_a_known_one(
    before: bytes,
) -> None:
    served = Served()
    await served.answers([GET, GET])
    assert is_known(served.heads, GET)

    known = await served.answers([before, GET])

    assert known == await served.answers([before, GET[:1], GET[1:]])


async def test_a_known_head_waits_for_its_turn_behind_a_request_that_is_being_answered() -> None:
    served = Served()
    await served.answers([GET, GET])
    assert is_known(served.heads, GET)
    protocol, line = served.connected()

    protocol.data_received(GET.replace(b"/odd/1", b"/wait"))
    await served.surface.world.arrived.wait()
    protocol.data_received(GET)
    assert line.written == b""
    served.surface.world.gate.set()
    await served.settle(protocol)

    assert line.written.count(b"HTTP/1.1 200 OK") == 2
    assert line.written.endswith(b'"value":"1","caller":null,"address":"127.0.0.1"}')


@pytest.mark.parametrize("nothing", [b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"])
async def test_empty_lines_after_a_request_do_not_repeat_it(nothing: bytes) -> None:
    served = Served()

    answers, ended = await served.answers([GET, nothing, nothing, GET, GET, nothing, nothing, GET])

    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (4, False)
    assert not is_known(served.heads, nothing)


async def test_the_rest_of_a_head_is_no_head() -> None:
    served = Served()
    for _ in range(2):
        await served.answers([GET[:1], GET[1:]])

    answers, ended = await served.answers([GET[1:]])

    assert (answers[:12], ended) == (b"HTTP/1.1 400", True)


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET + GET,
        GET[:-1],
        post(b"ab", length=1),
        post(b"a", length=2),
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive, close\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\nAccept: a\r\nAccept: b\r\n\r\n"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GET.replace(b"HTTP/1.1", b"HTTP/1.0").replace(
            b"\r\n\r\n", b"\r\nProxy-Connection: keep-alive\r\n\r\n"
        ),
        GET.replace(b"localhost", b"local host"),
        GET.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * 1024 + b"\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\n%b\r\n" % b"".join(b"A%d:\r\n" % number for number in range(32))),
        post(b"a", headers=b"Expect: 100-continue\r\n"),
    ],
)
async def test_a_head_is_kept_only_of_one_whole_request_that_says_nothing_of_the_connection(
    request_bytes: bytes,
) -> None:
    served = Served()

    for _ in range(3):
        await served.answers([request_bytes])

    assert not is_known(served.heads, request_bytes)
    assert not is_known(served.heads, GET)


@pytest.mark.parametrize("said", [b"keep-alive", b"Keep-Alive", b"TE"])
async def test_a_head_whose_connection_header_does_not_end_it_is_kept_like_any_other(said: bytes) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\nConnection: %b\r\n\r\n" % said)
    served = Served()

    answers, ended = await served.answers([request] * 3)

    assert is_known(served.heads, request)
    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (3, False)


def keep_each_twice(heads: Heads, requests: Sequence[bytes], *, now: int = 0) -> None:
    head = Head("GET", "/", b"", [(b"host", b"localhost")])
    for request in requests:
        heads.keep(head, request, 0, now)
        heads.keep(head, request, 0, now)


def test_of_many_heads_only_so_many_are_kept() -> None:
    heads = Heads()
    requests = [GET.replace(b"/odd/1", b"/odd/%d" % number) for number in range(5000)]

    keep_each_twice(heads, requests)

    assert sum(is_known(heads, request) for request in requests) <= 4096
    assert is_known(heads, requests[-1])


async def test_nobody_looks_for_known_heads_for_a_while_where_hardly_any_is_found() -> None:
    served = Served()
    await served.answers([GET, GET])
    keep_each_twice(served.heads, [GET.replace(b"/odd/1", b"/odd/%d" % number) for number in range(5000)])
    await served.answers([GET, GET])

    found = served.heads.found
    answers, ended = await served.answers([GET, GET])

    assert (answers.count(b"HTTP/1.1 200 OK"), ended, served.heads.found) == (2, False, found)
    assert served.heads.rests_until == 10


def test_heads_are_looked_for_on_where_most_are_found() -> None:
    heads = Heads()

    for number in range(5000):
        keep_each_twice(heads, [GET, GET.replace(b"/odd/1", b"/odd/%d" % number)])
        assert is_known(heads, GET)

    assert heads.rests_until == 0
