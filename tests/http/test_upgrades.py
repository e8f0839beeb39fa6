"""Who asks for another protocol is answered in HTTP/1.1, and what follows is read as such (RFC 9110 section 7.8)."""

from __future__ import annotations

import pytest

from tests.http.test_known_heads import GET, HOST, Served, post

ASKS = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
"""What Java's HTTP client says with its first request on plain http."""

ASKING = GET.replace(b"\r\n\r\n", b"\r\n%b\r\n" % ASKS)
CHUNKED = b"POST /raw HTTP/1.1\r\n%bContent-Type: text/plain\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (
    HOST,
    ASKS,
)


@pytest.mark.parametrize(
    "request_bytes",
    [post(b"abc", headers=ASKS), CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"],
    ids=["with its length", "in chunks"],
)
async def test_the_body_of_who_asks_is_read_however_it_is_cut(request_bytes: bytes) -> None:
    for cut in range(len(request_bytes)):
        pieces = [piece for piece in (request_bytes[:cut], request_bytes[cut:]) if piece]

        answers, ended = await Served().answers([*pieces, GET])

        assert (b'"value":"abc"' in answers, answers.count(b"HTTP/1.1 200 OK"), ended) == (True, 2, False)


@pytest.mark.parametrize(
    "asking",
    [
        post(b"abc", headers=ASKS).replace(b"Upgrade, ", b"Upgrade, close, "),
        post(b"abc", headers=ASKS).replace(b"HTTP/1.1", b"HTTP/1.0"),
        CHUNKED.replace(b"Upgrade, ", b"close, Upgrade, ") + b"3\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["closed on", "of an older version", "in chunks"],
)
async def test_the_body_of_who_asks_is_read_where_it_is_the_last_and_nothing_behind_it(asking: bytes) -> None:
    for cut in range(len(asking)):
        served = Served()

        answers, ended = await served.answers(
            [piece for piece in (asking[:cut], asking[cut:] + GET) if piece]
        )

        assert (b'"value":"abc"' in answers, answers.count(b"HTTP/1.1 "), ended) == (True, 1, True)
        assert len(served.surface.world.reached) == 1


async def test_nothing_is_done_behind_an_instant_answer_to_who_asks_that_was_the_last() -> None:
    served = Served()
    asking = ASKING.replace(b"/odd/1", b"/instant").replace(b"Upgrade, ", b"Upgrade, close, ")
    asking = asking.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")

    answers, ended = await served.answers([asking + post(b"smuggled")])

    assert (answers.count(b"HTTP/1.1 "), ended, served.surface.world.reached) == (1, True, [])


async def test_a_body_is_never_taken_for_another_request() -> None:
    served = Served()

    head, body = post(post(b"smuggled"), headers=ASKS).split(b"\r\n\r\n", 1)
    answers, ended = await served.answers([head + b"\r\n\r\n", body])

    assert (answers.count(b"HTTP/1.1 "), ended) == (1, False)
    assert len(served.surface.world.reached) == 1


@pytest.mark.parametrize("asking", [ASKING, ASKING.replace(b"/odd/1", b"/instant"), post(b"", headers=ASKS)])
async def test_requests_that_follow_who_asks_are_answered_in_the_same_piece_and_in_another(
    asking: bytes,
) -> None:
    answers, ended = await Served().answers([asking + GET, GET])

    assert (answers.count(b"HTTP/1.1 "), ended) == (3, False)


async def test_an_instant_answer_does_not_leave_the_body_of_who_asks_behind() -> None:
    asking = ASKING.replace(b"/odd/1", b"/instant").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")

    answers, ended = await Served().answers([asking + b"abc" + GET])

    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (2, False)


async def test_a_thousand_that_ask_at_once_are_all_answered() -> None:
    answers, ended = await Served().answers([ASKING.replace(b"/odd/1", b"/instant") * 1500])

    assert (answers.count(b"HTTP/1.1 200 OK"), ended) == (1500, False)


async def test_what_is_wrong_after_who_asks_is_refused_as_ever() -> None:
    answers, ended = await Served().answers([ASKING + b"nonsense\r\n\r\n"])

    assert (answers[:12], ended) == (b"HTTP/1.1 200", True)
