"""A real nginx before the server: forgotten, it opens nothing; configured, clients are seen behind it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.main_calls import Call, add_pin_user, add_stack_user, main_calls
from tests.system.nginx import nginx_before
from tests.system.refusals import assert_refused
from tests.system.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.real("nginx")]

DEVICES = "/api/sessions"
VAULT = "/api/v1/session-storage"
DIALECTS = ("native", "device", "stack_auth", "pin_login", "pocketpaw", "session-storage")

NEWER = ("proxy_http_version 1.1;",)
HOST_PASSED = ("proxy_http_version 1.1;", "proxy_set_header Host $http_host;")
REVEALING = ("proxy_http_version 1.1;", "proxy_set_header X-Real-IP $remote_addr;")


@pytest.fixture(scope="module")
def plain(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An nginx with nothing but `proxy_pass`."""
    with nginx_before(server.url, tmp_path_factory.mktemp("plain") / "nginx") as url:
        yield url


def public_requests(url: str, headers: Mapping[str, str] | None = None) -> list[tuple[str, httpx.Response]]:
    """Send every kind of request that needs no credential while public access is open."""
    with httpx.Client(base_url=url, headers=headers) as http:
        return [
            ("device", http.post(DEVICES, json={"identifier": "a-device"})),
            ("session-storage", http.get(VAULT)),
            ("session-storage", http.get(f"{VAULT}{VAULT}/current")),
            ("session-storage", http.get(f"{VAULT}/validity")),
            ("session-storage", http.delete(VAULT)),
        ]


def assert_closed(answers: list[tuple[str, httpx.Response]]) -> None:
    for dialect, answer in answers:
        assert_refused(answer, dialect, 401)


def test_without_a_proxy_public_access_is_open_to_this_machine(server: ServerProcess) -> None:
    httpx.delete(f"{server.url}{VAULT}")

    assert [answer.status_code for _, answer in public_requests(server.url)] == [200, 200, 404, 200, 200]


def test_a_forgotten_nginx_does_not_open_public_access_to_the_world(plain: str) -> None:
    assert_closed(public_requests(plain))


def test_nor_does_one_that_runs_as_the_servers_own_user(server: ServerProcess, tmp_path: Path) -> None:
    with nginx_before(server.url, tmp_path / "nginx", own_user=True) as url:
        answers = public_requests(url)

    assert_closed(answers)
    assert "HTTP/1.1" in answers[0][1].json()["error"]


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("lines", [NEWER, HOST_PASSED, REVEALING], ids=["1.1", "1.1 with Host", "X-Real-IP"])
def test_no_plain_configuration_opens_it(
    server: ServerProcess, tmp_path: Path, lines: tuple[str, ...], host: str
) -> None:
    if os.geteuid() != 0 and lines is not REVEALING and host != "shop.example":
        pytest.skip(
            "an nginx of the server's own user that passes a loopback Host looks like any local client"
        )
    with nginx_before(server.url, tmp_path / "nginx", *lines) as url:
        assert_closed(public_requests(url, {"Host": host}))


def test_a_server_key_reaches_the_public_endpoints_through_nginx(server: ServerProcess, plain: str) -> None:
    httpx.delete(f"{server.url}{VAULT}")

    statuses = [answer.status_code for _, answer in public_requests(plain, server.authorization)]

    assert statuses == [200, 200, 404, 200, 200]


@pytest.fixture(scope="module")
def calls(server: ServerProcess) -> dict[str, Call]:
    add_pin_user(server, "anna")
    with httpx.Client(base_url=server.url) as http:
        user = add_stack_user(http, server)
    return {call.dialect: call for call in main_calls(server, pin_user="anna", stack_user=user)}


def shape(value: object) -> object:
    """Return what *value* has of form: names and types, no values."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(member) for member in value] if isinstance(value, list) else type(value).__name__


def facts(answer: httpx.Response) -> dict[str, object]:
    """Return what must be the same with and without a proxy between."""
    of_each_answer = {"server", "date", "connection", "content-length", "location"}
    return {
        "status": answer.status_code,
        "headers": {
            name: value.partition("=")[0] if name == "set-cookie" else value
            for name, value in answer.headers.items()
            if name not in of_each_answer and not name.endswith("-request-id")
        },
        "body": shape(answer.json()),
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialects_main_call_passes_nginx_unchanged(
    server: ServerProcess, plain: str, calls: dict[str, Call], dialect: str
) -> None:
    call = calls[dialect]

    with httpx.Client(base_url=server.url) as direct, httpx.Client(base_url=plain) as proxied:
        straight, through = call.send(direct), call.send(proxied)

    assert through.status_code == call.status, through.text
    assert facts(through) == facts(straight)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    """A server that is told of its proxy and its public URL, and that proxy."""
    folder = tmp_path_factory.mktemp("known")
    options = ("--trusted-proxies", "127.0.0.1", "--public-url", "https://sessions.example")
    forwarding = (
        "proxy_set_header Host sessions.example;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Forwarded-Proto https;",
    )
    with (
        ServerProcess.started(folder, *options) as server,
        nginx_before(server.url, folder / "nginx", *forwarding) as url,
    ):
        yield server, url


def test_public_access_is_closed_once_a_proxy_is_known(known: tuple[ServerProcess, str]) -> None:
    server, url = known

    assert "Public access is closed" in server.log()
    assert_closed(public_requests(url))
    assert_closed(public_requests(server.url))


def test_the_client_is_the_one_that_a_trusted_proxy_saw(known: tuple[ServerProcess, str]) -> None:
    server, url = known
    from_elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
    forged = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "a-till/1.0"}
    body = {"identifier": "behind-a-proxy"}

    with httpx.Client(transport=from_elsewhere, headers=server.authorization | forged) as http:
        assert http.post(f"{url}{DEVICES}", json=body).status_code == 200
        request_id = http.get(f"{url}/v1/session").headers["x-request-id"]
    listed = json.loads(server.run("sessions", "list", "--json").stdout)["items"]
    lines = eventually(lambda: [line for line in server.log().splitlines() if request_id in line])

    devices = [(item["address"], item["user_agent"]) for item in listed if item["kind"] == "device"]
    assert devices == [("127.0.0.2", "a-till/1.0")]
    assert [json.loads(line)["client"] for line in lines] == ["127.0.0.2"]


def test_cookies_are_secure_behind_https(known: tuple[ServerProcess, str]) -> None:
    server, url = known
    body = {"subject": "alice", "delivery": "cookie"}

    answer = httpx.post(f"{url}/v1/sessions", headers=server.authorization, json=body)

    assert answer.headers["set-cookie"].startswith("__Host-sid=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers
