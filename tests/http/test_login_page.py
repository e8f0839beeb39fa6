"""Which page a browser may return to after it signed in: those on the list, and no other that looks like one."""

from __future__ import annotations

import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.http.edge import Edge
from sessiond.http.head import Head
from sessiond.http.login_page import LoginPage, asked_url
from sessiond.http.peer import Connection
from sessiond.http.request import Request
from tests.deployment import SetClock

APP = "https://app.example.org"
PROXY = "10.0.0.5"
PAGE = LoginPage("https://login.example.org/in", [APP, "https://shop.example.org:8443/cart?step=2"])


def asked(*headers: tuple[str, str], by: str = PROXY) -> Request:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    edge = Edge(trusted_proxies=[PROXY], public_url="https://sessions.example.org")
    connection = Connection((by, 4000), ("10.0.0.1", 8000))
    return Request(Head("GET", "/v1/verify", b"", raw), connection, edge, SetClock(), "id")


def forwarded(
    uri: str, *, host: str = "app.example.org", scheme: str = "https"
) -> tuple[tuple[str, str], ...]:
    return (("X-Forwarded-Proto", scheme), ("X-Forwarded-Host", host), ("X-Forwarded-Uri", uri))


@pytest.mark.parametrize(
    "url",
    [
        APP,
        f"{APP}/",
        f"{APP}/orders/7?sort=up&filter[a]=b|c",
        f"{APP}/caf%C3%A9/%2F%2Fevil.example",
        f"{APP}/back?to=https://evil.example/",
        f"{APP}/back?to=/.//evil.example/",
        f"{APP}/.well-known/a..b/...",
        f"{APP}?q=1",
        "https://shop.example.org:8443/cart?step=2",
    ],
)
def test_a_page_of_an_allowed_origin_or_an_allowed_url_is_returned_to(url: str) -> None:
    assert PAGE.allowed(url) == url


def test_case_and_the_default_port_make_no_other_origin() -> None:
    assert PAGE.allowed("HTTPS://App.Example.ORG:443/A?b") == f"{APP}/A?b"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/orders",
        "//evil.example/",
        r"\\evil.example\x",
        "https:/app.example.org/",
        "https:app.example.org/",
        "https:///app.example.org/",
        "http://app.example.org/",
        "javascript:alert(1)//app.example.org/",
        "data:text/html,https://app.example.org/",
        "ftp://app.example.org/",
        "https://evil.example/",
        "https://evil.example/https://app.example.org/",
        "https://app.example.org.evil.example/",
        "https://app.example.orgevil.example/",
        "https://notapp.example.org/",
        "https://app.example.org@evil.example/",
        "https://app.example.org:443@evil.example/",
        "https://user@app.example.org/",
        "https://user:pw@app.example.org/",
        "https://app.example.org%40evil.example/",
        "https://app.example.org%2Eevil.example/",
        r"https://app.example.org\@evil.example/",
        r"https://evil.example\@app.example.org/",
        r"https://app.example.org/\evil.example",
        "https://app.example.org//evil.example/",
        "https://app.example.org/.//evil.example/",
        "https://app.example.org/a/..//evil.example/",
        "https://app.example.org/%2E//evil.example/",
        "https://app.example.org/a/.%2e//evil.example/?q",
        "https://app.example.org/a/..",
        "https://app.example.org:444/",
        "https://app.example.org:0443/",
        "https://app.example.org:/",
        "https://app.example.org./",
        "https://app.example.org#@evil.example/",
        "https://app.example.org/#here",
        "https://app.example.org/ x",
        " https://app.example.org/",
        "https://app.example.org/\n",
        "https://app.example.org/\tx",
        "https://app.example.org/\x00",
        "https://app.example.org/é",
        "https://app.example.org/%zz",
        "https://app.example.org/%",
        'https://app.example.org/"x"',
        "https://\uff41pp.example.org/",
        "https://[::1]/",
        "https://shop.example.org:8443/",
        "https://shop.example.org:8443/cart",
        "https://shop.example.org:8443/cart?step=2&step=3",
        "https://app.example.org/" + "a" * 2048,
    ],
)
def test_anything_else_is_not(url: str) -> None:
    assert PAGE.allowed(url) is None


def test_nothing_is_allowed_without_a_list() -> None:
    assert LoginPage("https://login.example.org/in").allowed(f"{APP}/") is None


@pytest.mark.parametrize(
    ("login", "location"),
    [
        ("https://l.example/in", "https://l.example/in?return_to={}"),
        ("https://l.example/in?a=b", "https://l.example/in?a=b&return_to={}"),
        ("https://l.example/#/in", "https://l.example/?return_to={}#/in"),
    ],
)
def test_the_page_to_return_to_is_one_encoded_parameter(login: str, location: str) -> None:
    request = asked(*forwarded("/a?b=c&d=#e".replace("#", "%23")))

    found = LoginPage(login, [APP]).location(request)

    assert found == location.format("https%3A%2F%2Fapp.example.org%2Fa%3Fb%3Dc%26d%3D%2523e")


@pytest.mark.parametrize(
    "headers",
    [
        forwarded("//evil.example/x"),
        forwarded("@evil.example/x"),
        forwarded(".evil.example/x"),
        forwarded(":1@evil.example/x"),
        forwarded(r"\evil.example"),
        forwarded("https://evil.example/"),
        forwarded("/x", host="evil.example"),
        forwarded("/x", host="app.example.org, evil.example"),
        forwarded("/x", host="app.example.org@evil.example"),
        forwarded("/x", scheme="javascript"),
        forwarded("/x", scheme="http"),
        (("X-Original-URL", "https://evil.example/"),),
        (("X-Original-URL", "/x"),),
        (("X-Original-URL", f"{APP}/x"), ("X-Original-URL", f"{APP}/y")),
        (*forwarded("/x"), ("X-Original-URL", f"{APP}/y")),
        (*forwarded("/x"), ("X-Forwarded-Uri", "/y")),
        (*forwarded("/x"), ("X-Forwarded-Host", "evil.example")),
        (*forwarded("/x"), ("X-Forwarded-Method", "POST")),
        (("X-Original-URL", f"{APP}/x"), ("X-Original-Method", "DELETE")),
        (),
    ],
)
def test_what_is_not_allowed_or_not_sure_is_not_named(headers: tuple[tuple[str, str], ...]) -> None:
    assert PAGE.location(asked(*headers)) == "https://login.example.org/in"


@pytest.mark.parametrize(
    "headers",
    [
        forwarded("/x?y"),
        (*forwarded("/x?y"), ("X-Forwarded-Method", "GET")),
        (("X-Original-URL", f"{APP}/x?y"), ("X-Original-Method", "HEAD")),
        (*forwarded("/x?y"), ("X-Original-URL", f"{APP}/x?y")),
    ],
)
def test_what_was_asked_for_is_believed_from_a_trusted_proxy_only(
    headers: tuple[tuple[str, str], ...],
) -> None:
    assert asked_url(asked(*headers)) == f"{APP}/x?y"
    assert asked_url(asked(*headers, by="203.0.113.9")) is None


@pytest.mark.parametrize(
    "entry", ["", "app.example.org", "//app.example.org", "*", "https://*.example.org", "https://a@b.example"]
)
def test_an_entry_that_is_no_origin_and_no_url_is_refused_at_start(entry: str) -> None:
    with pytest.raises(Misconfigured, match="return_to holds"):
        LoginPage("https://login.example.org/in", [entry])
