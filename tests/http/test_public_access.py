"""Attack row 20: who may use open public access, and whose forwarding headers count."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from sessiond.domain.errors import Misconfigured
from sessiond.http.edge import Edge, PublicAccess
from sessiond.http.peer import owner_of
from tests.http.oddities import SERVER_KEY
from tests.http.surface import Surface, Wire

Pair = tuple[tuple[str, int], tuple[str, int]]


@pytest.fixture
def local() -> Iterator[Pair]:
    """The two ends of a connection of this process: a client's and its server's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        yield client.getsockname(), listener.getsockname()


async def test_public_access_is_open_over_loopback_to_a_process_of_our_own_user() -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/public")
        first = await wire.answer()
        wire.get("/public-first", "Authorization: Bearer nonsense")
        second = await wire.answer()

    assert (first.status, first.json["caller"]) == (200, "public")
    assert (second.status, second.json["caller"]) == (200, "public")


@pytest.mark.parametrize(
    "lines",
    [
        ["GET /public HTTP/1.0", "Host: localhost", "Connection: close"],
        ["GET /public HTTP/1.0", "Host: localhost", "Proxy-Connection: keep-alive"],
        ["GET /public HTTP/1.1", "Host: rebound.example"],
        ["GET /public HTTP/1.1", "Host: 127.0.0.1.evil.example"],
        ["GET /public HTTP/1.1", "Host: 192.168.1.1"],
        ["GET /public HTTP/1.1", "Host: localhost", "X-Forwarded-For: 127.0.0.1"],
        ["GET /public HTTP/1.1", "Host: localhost", "X-Forwarded-Anything: 1"],
        ["GET /public HTTP/1.1", "Host: localhost", "Forwarded: for=127.0.0.1"],
        ["GET /public HTTP/1.1", "Host: localhost", "Via: 1.1 proxy"],
        ["GET /public HTTP/1.1", "Host: localhost", "X-Real-IP: 127.0.0.1"],
        ["GET /public HTTP/1.1", "Host: localhost", "CF-Connecting-IP: 127.0.0.1"],
    ],
)
async def test_public_access_is_closed_to_what_shows_a_proxy_or_a_rebound_name(lines: list[str]) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.send("\r\n".join(lines).encode(), b"\r\n\r\n")
        answer = await wire.answer()

    assert (answer.status, answer.json) == (401, {"oops": "public_access_closed"})


@pytest.mark.parametrize(
    "header", ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"]
)
async def test_public_access_is_closed_to_foreign_pages(header: str) -> None:
    surface = Surface()

    async with surface.served() as server, Wire.to(server) as wire:
        wire.get("/public", header)
        answer = await wire.answer()

    assert (answer.status, answer.json) == (403, {"oops": "cross_site"})


async def test_public_access_is_closed_to_a_peer_that_the_kernel_does_not_show() -> None:
    answer = await Surface().ask("GET", "/public", client=("127.0.0.1", 1))

    assert answer.json == {"oops": "public_access_closed"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
async def test_public_access_is_closed_to_a_process_of_another_user() -> None:
    surface = Surface()

    async with surface.served() as server:
        os.seteuid(65534)
        try:
            connection = Wire.to(server)
            wire = await connection.__aenter__()
        finally:
            os.seteuid(0)
        wire.get("/public")
        answer = await wire.answer()
        await connection.__aexit__(None, None, None)

    assert (answer.status, answer.json) == (401, {"oops": "public_access_closed"})


async def test_a_server_key_is_taken_whether_public_access_is_open_or_not() -> None:
    surface = Surface(Edge(public_access=PublicAccess.OFF))
    headers = [("authorization", f"Bearer {SERVER_KEY}")]

    for path in ("/public", "/public-first"):
        assert (await surface.ask("GET", path)).json == {"oops": "public_access_closed"}
        assert (await surface.ask("GET", path, headers=headers)).json["caller"] == "server_key:tests"


async def test_a_wrong_server_key_is_not_saved_by_open_public_access() -> None:
    async with Surface().served() as server, Wire.to(server) as wire:
        wire.get("/public", "Authorization: Bearer wrong")
        answer = await wire.answer()

    assert answer.json == {"oops": "invalid_token"}


@pytest.mark.parametrize(
    ("edge", "is_open"),
    [
        (Edge(), True),
        (Edge(listeners=["127.0.0.1", "::1"]), True),
        (Edge(listeners=["0.0.0.0"]), False),  # noqa: S104
        (Edge(listeners=["::"]), False),
        (Edge(listeners=["127.0.0.1", "10.0.0.1"]), False),
        (Edge(public_url="https://a.example"), False),
        (Edge(trusted_proxies=["127.0.0.1"]), False),
        (Edge(public_access=PublicAccess.OFF), False),
        (Edge(listeners=["0.0.0.0"], public_access=PublicAccess.ON), True),  # noqa: S104
        (Edge(public_url="https://a.example", public_access=PublicAccess.ON), True),
    ],
)
def test_public_access_auto_is_open_only_on_a_server_that_only_this_machine_reaches(
    edge: Edge, is_open: bool
) -> None:
    assert edge.public_open is is_open


@pytest.mark.parametrize(
    ("host", "headers", "is_open"),
    [
        ("a.example", [], True),
        ("10.0.0.7:8000", [], True),
        ("localhost", [], True),
        ("rebound.example", [], False),
        ("a.example", [("x-forwarded-for", "1.2.3.4")], False),
    ],
)
async def test_an_operator_may_open_a_reachable_server_but_not_to_names_that_are_not_its_own(
    host: str, headers: list[tuple[str, str]], is_open: bool
) -> None:
    edge = Edge(listeners=["0.0.0.0"], public_url="https://a.example", public_access=PublicAccess.ON)  # noqa: S104

    answer = await Surface(edge).ask(
        "GET", "/public", host=host, headers=headers, client=("10.0.0.9", 5), http_version="1.0"
    )

    assert (answer.status == 200) is is_open


async def test_an_opened_reachable_server_takes_forwarding_headers_from_its_trusted_proxy() -> None:
    edge = Edge(trusted_proxies=["10.0.0.9"], public_url="https://a.example", public_access=PublicAccess.ON)

    answer = await Surface(edge).ask(
        "GET", "/public", host="a.example", headers=[("x-forwarded-for", "1.2.3.4")], client=("10.0.0.9", 5)
    )

    assert (answer.status, answer.json["address"]) == (200, "1.2.3.4")


def test_the_owner_of_a_local_connection_is_found(local: Pair) -> None:
    client, server = local

    assert owner_of(client, server) == os.geteuid()
    assert owner_of((f"::ffff:{client[0]}", client[1]), (f"::ffff:{server[0]}", server[1])) == os.geteuid()


def test_an_unknown_connection_has_no_owner(local: Pair) -> None:
    client, server = local

    assert owner_of((client[0], 1), server) is None
    assert owner_of(("no address", 1), server) is None


def test_a_connection_that_no_process_holds_any_more_is_not_taken_for_roots() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        ends = client.getsockname(), listener.getsockname()
        held, _ = listener.accept()
        client.close()

        assert owner_of(*ends) is None
        held.close()


def test_the_owner_of_an_ipv6_connection_is_found() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        assert owner_of(client.getsockname()[:2], listener.getsockname()[:2]) == os.geteuid()


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], "10.0.0.9"),
        ([("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
        ([("x-forwarded-for", "6.6.6.6, 1.2.3.4")], "1.2.3.4"),
        ([("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
        ([("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.8")], "1.2.3.4"),
        ([("x-forwarded-for", "10.0.0.7, 10.0.0.8")], "10.0.0.7"),
        ([("x-forwarded-for", "1.2.3.4:5678")], "1.2.3.4"),
        ([("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1"),
        ([("x-forwarded-for", "::ffff:1.2.3.4")], "1.2.3.4"),
        ([("x-forwarded-for", "6.6.6.6, unknown")], "10.0.0.9"),
        ([("x-forwarded-for", "junk\x00")], "10.0.0.9"),
        ([("x-forwarded-for", "")], "10.0.0.9"),
        ([("forwarded", 'for="[2001:db8::1]:4711";proto=https')], "2001:db8::1"),
        ([("forwarded", "for=6.6.6.6, for=1.2.3.4;by=x")], "1.2.3.4"),
        ([("forwarded", "for=_hidden")], "10.0.0.9"),
        ([("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4")], "1.2.3.4"),
        ([("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")], "10.0.0.9"),
    ],
)
async def test_a_trusted_proxy_tells_the_clients_address(
    headers: list[tuple[str, str]], address: str
) -> None:
    surface = Surface(Edge(trusted_proxies=["10.0.0.0/8"]))

    assert (await surface.ask("GET", "/odd/1", headers=headers, client=("10.0.0.9", 1))).json[
        "address"
    ] == address


async def test_nobody_else_tells_the_clients_address() -> None:
    headers = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6"), ("x-real-ip", "6.6.6.6")]

    for edge in (Edge(), Edge(trusted_proxies=["10.0.0.0/8"])):
        answer = await Surface(edge).ask("GET", "/odd/1", headers=headers, client=("192.0.2.1", 1))
        assert answer.json["address"] == "192.0.2.1"


async def test_only_a_trusted_proxy_makes_cookies_secure() -> None:
    edge = Edge(trusted_proxies=["10.0.0.9"])
    headers = [("x-forwarded-proto", "https")]

    trusted = await Surface(edge).ask("POST", "/sign-in", headers=headers, client=("10.0.0.9", 1))
    stranger = await Surface(edge).ask("POST", "/sign-in", headers=headers, client=("10.0.0.8", 1))

    assert "Secure" in str(trusted.headers)
    assert "Secure" not in str(stranger.headers)


@pytest.mark.parametrize(
    "url", ["a.example", "ftp://a.example", "https://a.example/path", "https://u@a.example", "https://"]
)
def test_a_public_url_that_means_nothing_is_refused_at_start(url: str) -> None:
    with pytest.raises(Misconfigured, match="public_url"):
        Edge(public_url=url)


@pytest.mark.parametrize("proxy", ["proxy.example", "10.0.0.1/33", "10.0.0.1/8", ""])
def test_a_trusted_proxy_that_is_no_network_is_refused_at_start(proxy: str) -> None:
    with pytest.raises(Misconfigured, match="trusted_proxies"):
        Edge(trusted_proxies=[proxy])
