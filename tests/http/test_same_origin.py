"""Attack row 19: what browsers send from other pages changes nothing."""

from __future__ import annotations

import pytest

from sessiond.http.edge import Edge
from tests.http.surface import Surface

FOREIGN = [
    [("origin", "https://evil.example")],
    [("origin", "null")],
    [("origin", "http://localhost:8001")],
    [("origin", "https://localhost:8000")],
    [("origin", "http://localhost:8000.evil.example")],
    [("origin", "http://localhost:8000 ")],
    [("origin", "")],
    [("sec-fetch-site", "cross-site")],
    [("sec-fetch-site", "same-site")],
    [("sec-fetch-site", "anything")],
    [("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
]
OWN = [
    [],
    [("origin", "http://localhost:8000")],
    [("origin", "HTTP://LOCALHOST:8000")],
    [("sec-fetch-site", "same-origin")],
    [("sec-fetch-site", "none")],
    [("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8000")],
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_write_by_cookie_from_a_foreign_page_is_refused(headers: list[tuple[str, str]]) -> None:
    surface = Surface()

    by_cookie = await surface.ask("POST", "/session", headers=[("cookie", "sid=alice-token"), *headers])
    read_in_handler = await surface.ask("POST", "/cookie", headers=[("cookie", "sid=alice-token"), *headers])

    for answer in (by_cookie, read_in_handler):
        assert (answer.status, answer.json) == (403, {"oops": "cross_site"})


@pytest.mark.parametrize("headers", OWN)
async def test_a_write_by_cookie_from_our_own_page_or_from_no_browser_is_taken(
    headers: list[tuple[str, str]],
) -> None:
    surface = Surface()

    answer = await surface.ask("POST", "/session", headers=[("cookie", "sid=alice-token"), *headers])

    assert (answer.status, answer.json["caller"]) == (200, "subject:alice")


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_sign_in_from_a_foreign_page_is_refused_even_without_a_cookie(
    headers: list[tuple[str, str]],
) -> None:
    surface = Surface()

    answer = await surface.ask("POST", "/sign-in", headers=headers)

    assert (answer.status, answer.json) == (403, {"oops": "cross_site"})
    assert surface.world.reached == []


async def test_a_read_by_cookie_is_no_write() -> None:
    answer = await Surface().ask(
        "GET", "/cookie", headers=[("cookie", "sid=1"), ("sec-fetch-site", "cross-site")]
    )

    assert answer.status == 200


async def test_a_write_by_bearer_may_come_from_anywhere() -> None:
    headers = [
        ("authorization", "Bearer alice-token"),
        ("origin", "https://app.example"),
        ("sec-fetch-site", "cross-site"),
    ]

    assert (await Surface().ask("POST", "/session", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://a.example", 200),
        ("https://a.example:443", 200),
        ("http://a.example", 403),
        ("https://b.a.example", 403),
        ("https://a.example:8443", 403),
    ],
)
async def test_behind_a_public_url_its_origin_is_ours(origin: str, status: int) -> None:
    surface = Surface(Edge(public_url="https://a.example"))

    answer = await surface.ask(
        "POST",
        "/session",
        headers=[("cookie", "__Host-sid=alice-token"), ("origin", origin)],
        host="internal:8000",
    )

    assert answer.status == status


async def test_a_method_override_header_means_nothing() -> None:
    answer = await Surface().ask(
        "GET", "/odd/1", headers=[("x-http-method-override", "DELETE"), ("x-method", "DELETE")]
    )

    assert (answer.status, answer.json["method"]) == (200, "GET")
