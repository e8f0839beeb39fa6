"""The pages of forward-auth are true: what they show, run by real proxies, lets live sessions through and no more."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.docs.proxies import RUN, proxied
from tests.server_process import ServerProcess, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real("nginx"),
    pytest.mark.real("caddy"),
    pytest.mark.real("haproxy"),
]

HOST = {"Host": "app.example.org"}
PAGE = {"Accept": "text/html,*/*"}
LOGIN = "https://login.example.org/in"
IDENTITY = ("id", "subject", "project", "kind", "acr", "amr", "actor", "authenticated-at", "expires-at")
DEFAULT = "00000000-0000-4000-8000-000000000001"
SETTINGS = {
    "SESSIOND_TRUSTED_PROXIES": "127.0.0.1",
    "SESSIOND_LOGIN_URL": LOGIN,
    "SESSIOND_RETURN_TO": "http://app.example.org",
}


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = len(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        heard = [(name.lower(), value) for name, value in self.headers.items()]
        self.server.heard.append(self.path)  # type: ignore[attr-defined]
        body = json.dumps(
            {"method": self.command, "path": self.path, "headers": heard, "length": length}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815  the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        pass


class Unavailable(Handler):
    """Answers every request with 503, as sessiond does without its database."""

    def answer(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = answer  # noqa: N815


class Listening(NamedTuple):
    """A server of this process."""

    port: int
    heard: list[str]


def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[Listening]:
    with ThreadingHTTPServer(("127.0.0.1", free_port()), handler) as server:
        server.heard = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Listening(server.server_port, server.heard)  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture(scope="module")
def application() -> Iterator[Listening]:
    yield from listening(Handler)


@pytest.fixture(scope="module")
def unavailable() -> Iterator[Listening]:
    yield from listening(Unavailable)


@pytest.fixture(scope="module")
def sessiond(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path_factory.mktemp("sessiond"), settings=SETTINGS) as server:
        yield server


class Proxy(NamedTuple):
    """A proxy before the application."""

    url: str
    sessiond: ServerProcess
    application: Listening

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=HOST | {k.replace("_", "-"): v for k, v in headers.items()})

    def heard(self, path: str = "/", **headers: str) -> dict[str, list[str]]:
        """Return the headers that the application got, each with its values."""
        answer = self.get(path, **headers)
        assert answer.status_code == 200, answer.text
        return by_name(answer)

    def signed_in(self, **members: object) -> dict[str, Any]:
        asked = {"subject": "käthe/7", "acr": "urn:gold", "amr": ["pwd", "o t p"]} | members
        answer = httpx.post(
            f"{self.sessiond.url}/v1/sessions", headers=self.sessiond.authorization, json=asked
        )
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body | {"cookies": dict(answer.cookies)}


def by_name(answer: httpx.Response) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


@pytest.fixture(scope="module", params=RUN)
def proxy(
    request: pytest.FixtureRequest,
    sessiond: ServerProcess,
    application: Listening,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp(request.param) / "proxy"
    folder.parent.chmod(0o755)
    with proxied(request.param, folder, sessiond=sessiond.port, application=application.port) as url:
        yield Proxy(url, sessiond, application)


def bearer(session: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {session['access_token']}"}


def test_a_live_session_passes_and_the_application_hears_whose_it_is(proxy: Proxy) -> None:
    session = proxy.signed_in()

    heard = proxy.heard("/orders?page=2", **bearer(session))

    assert heard["x-session-id"] == [session["session"]["id"]]
    assert heard["x-session-subject"] == ["k%C3%A4the%2F7"]
    assert heard["x-session-project"] == [DEFAULT]
    assert heard["x-session-kind"] == ["tokens"]
    assert heard["x-session-acr"] == ["urn%3Agold"]
    assert heard["x-session-amr"] == ["pwd o%20t%20p"]
    assert heard["x-session-authenticated-at"] == [session["session"]["authenticated_at"]]
    assert heard["x-session-expires-at"] == [session["session"]["expires_at"]]
    assert proxy.application.heard[-1] == "/orders?page=2"


def test_nobody_else_passes(proxy: Proxy) -> None:
    session = proxy.signed_in()
    assert proxy.get(**bearer(session)).status_code == 200
    httpx.delete(f"{proxy.sessiond.url}/v1/session", headers=bearer(session))
    before = len(proxy.application.heard)

    without, ended = proxy.get(), proxy.get(**bearer(session))
    forged = proxy.get(Authorization="Bearer sda1_nothing", X_Session_Subject="mallory")

    assert [answer.status_code for answer in (without, ended, forged)] == [401] * 3
    assert "Bearer" in without.headers["www-authenticate"]
    assert len(proxy.application.heard) == before


def test_what_a_client_sends_under_our_names_does_not_reach_the_application(proxy: Proxy) -> None:
    session = proxy.signed_in(acr=None, amr=[])
    names = [f"x-session-{name}" for name in IDENTITY]
    names += [
        "X_Session_Subject",
        "x_session_subject",
        "X-Session_Subject",
        "X_Session-Subject",
        "X-Session-Expires_At",
    ]

    heard = by_name(httpx.get(proxy.url, headers=HOST | bearer(session) | dict.fromkeys(names, "mallory")))

    assert "mallory" not in str(heard)
    for name in ("acr", "amr", "actor"):
        assert heard.get(f"x-session-{name}") in (None, [""])


def test_the_credentials_stay_here_and_other_cookies_pass(proxy: Proxy) -> None:
    session = proxy.signed_in(delivery="cookie")
    value = session["cookies"]["sid"]

    heard = proxy.heard(Cookie=f"theme=dark; sid={value}; lang=de; sidebar=open; xsid=1")
    alone = proxy.heard(Cookie=f"sid={value}")
    last = proxy.heard(Cookie=f"theme=dark;sid={value}")
    with_bearer = proxy.heard(
        **bearer(proxy.signed_in()),
        Cookie="accessToken=a; refreshToken=b; theme=dark; knownClient=c; pocketpaw_session=d",
    )

    assert [each.strip() for each in heard["cookie"][0].split(";")] == [
        "theme=dark",
        "lang=de",
        "sidebar=open",
        "xsid=1",
    ]
    assert alone.get("cookie", [""]) == [""]
    assert last["cookie"][0].strip("; ") == "theme=dark"
    assert with_bearer["cookie"][0].strip("; ") == "theme=dark"
    assert "authorization" not in with_bearer
    assert value not in str(heard)


def test_cookies_of_ours_that_stand_twice_do_not_pass_either(proxy: Proxy) -> None:
    twice = "accessToken=a; accessToken=b; refreshToken=c; knownClient=d; knownClient=e; a=1"

    heard = proxy.heard(**bearer(proxy.signed_in()), Cookie=twice)

    assert heard.get("cookie", [""])[0].strip("; ") in {"", "a=1"}


def test_a_browser_is_sent_to_sign_in_and_back(proxy: Proxy) -> None:
    page = proxy.get("/orders?page=2", **PAGE)
    script = proxy.get("/orders", **PAGE, Sec_Fetch_Mode="cors")
    elsewhere = httpx.get(f"{proxy.url}/x", headers=PAGE | {"Host": "evil.example"})
    forged = {"X_Forwarded_Uri": "/b", "X_Forwarded_Host": "app.example.org", "X_Forwarded_Method": "POST"}
    spoofed = proxy.get("/a", **PAGE, **forged, X_Original_Url="http://app.example.org/c")

    assert page.status_code == 302
    assert page.headers["location"] == f"{LOGIN}?return_to=http%3A%2F%2Fapp.example.org%2Forders%3Fpage%3D2"
    assert script.status_code == 401
    assert (elsewhere.status_code, elsewhere.headers["location"]) == (302, LOGIN)
    assert spoofed.headers["location"] == f"{LOGIN}?return_to=http%3A%2F%2Fapp.example.org%2Fa"


def test_an_upload_passes_whole(proxy: Proxy) -> None:
    content = b"x" * 3_000_000

    answer = httpx.post(f"{proxy.url}/upload", headers=HOST | bearer(proxy.signed_in()), content=content)

    assert (answer.json()["method"], answer.json()["length"]) == ("POST", len(content))
    assert httpx.post(f"{proxy.url}/upload", headers=HOST, content=b"x").status_code == 401


def test_an_upgrade_is_asked_for_and_passed_on(proxy: Proxy) -> None:
    authorization = bearer(proxy.signed_in())["Authorization"]
    head = (
        "GET /socket HTTP/1.1\r\nHost: app.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: {authorization}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", httpx.URL(proxy.url).port or 0)) as wire:
        wire.sendall(head.encode())
        answer = wire.makefile("rb")
        assert b" 200 " in answer.readline()
        length = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b": ")
            length = int(value) if name.lower() == b"content-length" else length
        heard = dict(json.loads(answer.read(length))["headers"])

    assert (heard["upgrade"], heard["connection"].lower()) == ("websocket", "upgrade")


@pytest.mark.parametrize("name", RUN)
def test_while_sessiond_does_not_answer_nobody_passes(
    name: str, sessiond: ServerProcess, application: Listening, unavailable: Listening, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    before = len(application.heard)
    statuses = []
    for place, port in (("gone", free_port()), ("refusing", unavailable.port)):
        with proxied(name, tmp_path / place, sessiond=port, application=application.port) as url:
            asked = (HOST, HOST | PAGE, HOST | sessiond.authorization)
            statuses += [httpx.get(url, headers=headers).status_code for headers in asked]

    assert set(statuses) <= {502, 503}
    assert len(application.heard) == before


@pytest.mark.parametrize("name", RUN)
def test_more_may_be_asked_of_a_session(
    name: str, sessiond: ServerProcess, application: Listening, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    shown, asked = {
        "nginx": ("/v1/verify?login=header", "/v1/verify?login=header&acr=urn:gold"),
        "caddy": ("/v1/verify?", "/v1/verify?acr=urn:gold"),
        "haproxy": ("/v1/verify", "/v1/verify?acr=urn:gold"),
    }[name]
    ports = {"sessiond": sessiond.port, "application": application.port}
    with proxied(name, tmp_path / name, **ports, changes={shown: asked}) as url:
        proxy = Proxy(url, sessiond, application)
        golden, plain = (proxy.get(**bearer(proxy.signed_in(acr=acr))) for acr in ("urn:gold", "urn:silver"))

    assert (golden.status_code, plain.status_code) == (200, 403)
