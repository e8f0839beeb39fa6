"""Headers and cookies that are ambiguous, and what every answer carries."""

from __future__ import annotations

import logging
import re

import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.http.cookies import SetCookie, find_cookie
from sessiond.http.edge import Edge
from sessiond.http.request_ids import RequestIds
from tests.http.oddities import SERVER_KEY
from tests.http.surface import Surface


@pytest.mark.parametrize(
    "host", [None, "", "a b", "a,b", "user@host", "host/path", "host:port", "[::1", "ho\tst", "h" * 400]
)
async def test_a_missing_or_malformed_host_is_refused(host: str | None) -> None:
    answer = await Surface().ask("GET", "/odd/1", host=host)

    assert (answer.status, answer.json) == (400, {"oops": "bad_host"})


@pytest.mark.parametrize("host", ["localhost", "a.example:8000", "127.0.0.1", "[::1]:8000"])
async def test_a_sound_host_is_taken(host: str) -> None:
    assert (await Surface().ask("GET", "/odd/1", host=host)).status == 200


async def test_two_host_headers_are_refused() -> None:
    answer = await Surface().ask("GET", "/odd/1", headers=[("host", "localhost:8000")])

    assert (answer.status, answer.json) == (400, {"oops": "bad_host"})


@pytest.mark.parametrize(
    "name",
    ["authorization", "content-encoding", "content-type", "content-length", "origin", "sec-fetch-site"],
)
async def test_a_repeated_header_that_may_stand_once_is_refused(name: str) -> None:
    surface = Surface()

    answer = await surface.ask("POST", "/bodiless", headers=[(name, "1"), (name, "1")])
    instant = await surface.ask("GET", "/instant", headers=[(name, "1"), (name, "1")])

    assert (answer.status, answer.json) == (400, {"oops": "repeated_header"})
    assert instant.status == 400


async def test_two_cookie_headers_mean_one() -> None:
    surface = Surface()

    answer = await surface.ask("GET", "/cookie", headers=[("cookie", "a=1"), ("cookie", "sid=2; b=3")])

    assert answer.json["value"] == "2"


@pytest.mark.parametrize("cookies", [["sid=1; sid=2"], ["sid=1", "sid=1"], ["sid=1;sid=2"], ["sid=; sid=x"]])
async def test_two_cookies_of_one_name_are_refused(cookies: list[str]) -> None:
    answer = await Surface().ask("GET", "/cookie", headers=[("cookie", cookie) for cookie in cookies])

    assert (answer.status, answer.json) == (400, {"oops": "repeated_cookie"})


@pytest.mark.parametrize(
    "header",
    [
        b"SID=1",
        b"$sid=1",
        b'"sid"=1',
        b"sid",
        b"=sid",
        b"=sid=1",
        b"xsid=1",
        b"sid2=1",
        b"; ;",
        b"$Version=1",
    ],
)
def test_a_cookie_that_only_looks_like_it_is_none(header: bytes) -> None:
    assert find_cookie([header], "sid") is None


def test_a_cookie_value_is_taken_as_it_stands() -> None:
    assert find_cookie([b'a=1; sid="x=y" ; b=2'], "sid") == '"x=y"'


def test_ten_thousand_cookies_are_searched_for_the_one() -> None:
    header = b"; ".join([b"c%d=1" % i for i in range(10_000)])

    assert find_cookie([header, b"sid=1"], "sid") == "1"
    with pytest.raises(InvalidRequest):
        find_cookie([header, b"sid=1", b"sid=2"], "sid")


async def test_set_cookies_carry_their_attributes_and_deleting_repeats_them() -> None:
    answer = await Surface().ask("POST", "/sign-in")

    assert [value for name, value in answer.headers if name == "set-cookie"] == [
        "sid=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
        "old=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
    ]


async def test_cookies_are_secure_where_the_public_url_is_https() -> None:
    answer = await Surface(Edge(public_url="https://a.example")).ask("POST", "/sign-in")

    assert all("Secure" in value for name, value in answer.headers if name == "set-cookie")


@pytest.mark.parametrize("value", ["a;b", "a,b", "a b", 'a"b', "a\r\nb", "é", "a\\b"])
def test_a_cookie_value_that_would_break_out_cannot_be_set(value: str) -> None:
    with pytest.raises(ValueError, match="cookie"):
        SetCookie(name="sid", value=value).render(secure=False)


async def test_every_answer_forbids_storing_and_sniffing() -> None:
    surface = Surface()

    for answer in (
        await surface.ask("GET", "/odd/1"),
        await surface.ask("GET", "/nowhere"),
        await surface.ask("GET", "/break"),
        await surface.ask("DELETE", "/odd/1"),
        await surface.ask("POST", "/sign-in"),
    ):
        assert answer.header("cache-control") == "no-store"
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        assert answer.header("content-security-policy") == "default-src 'none'; frame-ancestors 'none'"
        assert answer.header("strict-transport-security") is None
    assert (await surface.ask("DELETE", "/odd/1")).header("content-length") is None


async def test_strict_transport_security_is_sent_where_the_public_url_is_https() -> None:
    answer = await Surface(Edge(public_url="https://a.example")).ask("GET", "/odd/1")

    assert answer.header("strict-transport-security") == "max-age=31536000"


async def test_a_refusal_says_what_http_asks_for() -> None:
    surface = Surface()

    assert (await surface.ask("GET", "/throttle")).header("retry-after") == "7"
    assert (await surface.ask("GET", "/key")).header("www-authenticate") == 'Bearer realm="sessiond"'
    assert (await Surface(max_in_flight=0).ask("GET", "/odd/1")).header("retry-after") == "1"


async def test_more_requests_at_once_than_are_allowed_get_503() -> None:
    answer = await Surface(max_in_flight=0).ask("GET", "/odd/1")

    assert (answer.status, answer.json) == (503, {"oops": "overloaded"})


async def test_a_defect_is_a_500_in_the_dialects_shape_and_one_log_line_without_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await Surface().ask("GET", "/break")

    assert (answer.status, answer.json) == (500, {"oops": "internal_error"})
    assert len(caplog.records) == 1
    assert vars(caplog.records[0])["error"] == "RuntimeError"
    assert vars(caplog.records[0])["request_id"] == answer.header("x-request-id")
    assert "secret-in-a-message" not in str(vars(caplog.records[0]))


async def test_a_header_that_would_split_the_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    answer = await Surface().ask("GET", "/split")

    assert answer.status == 500
    assert answer.header("set-cookie") is None


async def test_a_request_id_is_ours_unless_a_short_and_safe_one_came() -> None:
    surface = Surface()

    ours = (await surface.ask("GET", "/odd/1")).header("x-request-id") or ""
    kept = await surface.ask("GET", "/odd/1", headers=[("x-request-id", "trace-1.2_3")])

    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", ours)
    assert kept.header("x-request-id") == "trace-1.2_3"


@pytest.mark.parametrize(
    "sent",
    [
        "short",
        "x" * 41,
        "with space",
        "a\tbcdefgh",
        'quote"quote',
        "sda1_" + "A" * 30,
        "-leading-dash",
        "é" * 10,
        SERVER_KEY + "\n",
    ],
)
async def test_an_incoming_request_id_that_is_not_safe_to_log_is_replaced(sent: str) -> None:
    surface = Surface()

    answer = await surface.ask("GET", "/odd/1", headers=[("x-request-id", sent)])

    assert answer.header("x-request-id") != sent
    assert surface.log_lines()[0]["request_id"] == answer.header("x-request-id")


def test_request_ids_do_not_repeat() -> None:
    first, second = RequestIds(), RequestIds()

    ids = [ids.mint() for _ in range(5000) for ids in (first, second)]

    assert len(set(ids)) == 10_000
