"""Every kind of key is rotated while clients of every API go on: nobody is refused, on one node or on two."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import jwt
import pytest

from sessiond.config.secrets import encode_key
from tests.aged import make_aged, make_aged_directory
from tests.dialects import device_calls, vault_calls
from tests.dialects.stack_calls import Stack, Tokens
from tests.server_process import ServerProcess
from tests.servers.postgresql import PostgresqlServer
from tests.till import set_cookies, with_user

pytestmark = [pytest.mark.slow, pytest.mark.in_files]

KEY, NEXT_KEY = bytes(range(32)), bytes(range(32, 64))
NAME, PIN = "cashier", "0000"
MOST_ROUNDS = 10
PATIENT = {  # nothing here ends because the machine is slow, or is limited because it is fast
    "SESSIOND_LIMITS_BY_ADDRESS": "none",
    "SESSIOND_POLICY_GRACE": "300s",
    "SESSIOND_POLICY_ACCESS_TOKEN_LIFETIME": "1h",
    "SESSIOND_PIN_ACCESS_TOKEN_LIFETIME": "1h",
}

Refused = list[str]


class Cluster(NamedTuple):
    """One node that is told of rotations, and the nodes at which the clients are: the same one, or others besides."""

    told: ServerProcess
    nodes: tuple[ServerProcess, ...]


@pytest.fixture(params=["sqlite", "postgresql"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        if request.param == "sqlite":
            make_aged_directory(tmp_path / "data", KEY)
            server = stack.enter_context(ServerProcess.started(tmp_path, settings=PATIENT))
            yield Cluster(server, (server,))
            return
        postgresql: PostgresqlServer = request.getfixturevalue("postgresql")
        url = postgresql.url()
        asyncio.run(make_aged(url, KEY))
        settings = PATIENT | {
            "SESSIOND_DATABASE": url,
            "SESSIOND_KEY": encode_key(KEY),
            "SESSIOND_NEXT_KEY": encode_key(NEXT_KEY),
            "SESSIOND_PUBLIC_URL": "http://sessions.test",  # one issuer for both
            "SESSIOND_PUBLIC_ACCESS": "on",
        }
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        first, second = (
            stack.enter_context(ServerProcess.started(tmp_path / name, settings=settings))
            for name in ("first", "second")
        )
        yield Cluster(first, (first, second))


class Client:
    """Somebody who has a session of every kind, and uses each at every node by turns."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.refused: Refused = []
        self.server_key = cluster.told.server_key
        self._https = [httpx.Client(base_url=node.url) for node in cluster.nodes]
        self._turn = number
        self._user = f"user-{number}"
        http = self._https[0]
        self._opaque = self._made({"subject": self._user}).json()
        self._signed = self._made({"subject": self._user, "format": "jwt"}).json()
        self._cookie = self._made({"subject": self._user, "delivery": "cookie"}).cookies["sid"]
        stack = Stack(http)
        self._stack: Tokens = stack.signed_in()
        self._device = device_calls.opened(http, device_calls.a_device())
        self._entry = vault_calls.saved(http, self._user)["id"]
        login = http.post("/auth/login", json={"name": NAME, "pin": PIN})
        self._till = {name: text.partition(";")[0] for name, text in set_cookies(login).items()}
        self._key_sets = {path: self._key_set(path) for path in ("/.well-known/jwks.json", _stack_jwks())}

    def close(self) -> None:
        """Let go of the connections."""
        for http in self._https:
            http.close()

    def round(self) -> None:
        """Use, renew and make something of every kind; what is refused is noted."""
        self._native()
        self._stack_auth()
        self._others()

    def _native(self) -> None:
        for held in (self._opaque, self._signed):
            self._ok("verify", self._node.get("/v1/session", headers=_bearer(held["access_token"])))
            body = {"refresh_token": held["refresh_token"]}
            renewed = self._ok("refresh", self._node.post("/v1/session/refresh", json=body))
            again = self._ok("refresh again", self._node.post("/v1/session/refresh", json=body))
            if renewed.get("refresh_token") != again.get("refresh_token"):
                self.refused.append("a retried refresh got another token")
            held.update(renewed)
        self._believed("/.well-known/jwks.json", self._signed["access_token"])
        self._ok("cookie", self._node.get("/v1/session", headers={"Cookie": f"sid={self._cookie}"}))
        made = self._made({"subject": self._user}).json()
        self._ok("made elsewhere", self._node.get("/v1/session", headers=_bearer(made["access_token"])))

    def _stack_auth(self) -> None:
        stack, held = Stack(self._node), self._stack
        self._ok("stack", stack.me(held.client))
        renewed = self._ok("stack refresh", Stack(self._node).refresh(held.refresh))
        if renewed:
            self._stack = held._replace(access=renewed["access_token"])
            self._believed(_stack_jwks(), self._stack.access)

    def _others(self) -> None:
        self._ok("device", self._node.get("/v1/session", headers=_bearer(self._device)))
        read = self._ok(
            "vault", self._node.get(f"{vault_calls.PATH}/{self._entry}", headers=_bearer(self.server_key))
        )
        if read and read.get("token") != vault_calls.TOKEN:
            self.refused.append("the vault gave something else")
        new = self._ok(
            "vault save",
            self._node.post(
                vault_calls.PATH, json=vault_calls.a_body(self._user), headers=_bearer(self.server_key)
            ),
        )
        self._entry = new.get("id", self._entry)
        self._ok("till", self._sent("POST", "/auth/refresh", "refreshToken"))
        known = {"Cookie": f"knownClient={self._till['knownClient']}"}
        login = self._node.post("/auth/login", json={"name": NAME, "pin": PIN}, headers=known)
        self._ok("login", login)
        self._till |= {name: text.partition(";")[0] for name, text in set_cookies(login).items()}
        self._ok("till verify", self._sent("GET", "/v1/session", "accessToken"))

    @property
    def _node(self) -> httpx.Client:
        self._turn += 1
        client = self._https[self._turn % len(self._https)]
        client.cookies.clear()
        return client

    def _sent(self, method: str, path: str, cookie: str) -> httpx.Response:
        return self._node.request(method, path, headers={"Cookie": f"{cookie}={self._till[cookie]}"})

    def _made(self, body: dict[str, str]) -> httpx.Response:
        answer = self._node.post("/v1/sessions", json=body, headers=_bearer(self.server_key))
        self._ok("create", answer)
        return answer

    def _ok(self, what: str, answer: httpx.Response) -> dict[str, str]:
        if not answer.is_success:
            self.refused.append(f"{what}: {answer.status_code} {answer.text}")
            return {}
        body: dict[str, str] = answer.json() if answer.content else {}
        return body

    def _key_set(self, path: str) -> jwt.PyJWKSet:
        return jwt.PyJWKSet.from_dict(self._https[0].get(path).json())

    def _believed(self, path: str, token: str) -> None:
        """Check the signature as another service does, with the key set that it fetched before every rotation."""
        try:
            key = self._key_sets[path][jwt.get_unverified_header(token)["kid"]]
            jwt.decode(token, key, algorithms=["ES256"], options={"verify_aud": False})
        except (KeyError, jwt.InvalidTokenError) as error:
            self.refused.append(f"{path}: {error!r}")


def _stack_jwks() -> str:
    return "/api/v1/projects/00000000-0000-4000-8000-000000000001/.well-known/jwks.json"


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _during(clients: list[Client], change: Callable[[], object]) -> None:
    """Do *change* while every client goes its rounds, so many at most, and let each go once more after it."""
    start, done = threading.Barrier(len(clients) + 1), threading.Event()

    def rounds(client: Client) -> None:
        start.wait()
        for _ in range(MOST_ROUNDS):
            client.round()
            if done.is_set():
                return

    with ThreadPoolExecutor(len(clients)) as pool:
        going = [pool.submit(rounds, client) for client in clients]
        start.wait()
        try:
            change()
        finally:
            done.set()
        for each in going:
            each.result()
    for client in clients:
        client.round()


def _rotated(cluster: Cluster, kind: str) -> None:
    answer = httpx.post(
        f"{cluster.told.url}/v1/keys/rotate", json={"kind": kind}, headers=_bearer(cluster.told.master_token)
    )
    assert answer.status_code == 200, answer.text
    states = [key["state"] for key in answer.json()["keys"]]
    assert {"active", "retired"} <= set(states), answer.text


def _run(server: ServerProcess, *arguments: str) -> dict[str, str]:
    done = server.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


def _rotate_the_ring(cluster: Cluster, clients: list[Client]) -> None:
    for kind in ("root", "signing", "vault"):
        _during(clients, partial(_rotated, cluster, kind))
    _during(clients, partial(_run, cluster.told, "keys", "rewrap"))


def _rotate_the_credentials(server: ServerProcess, clients: list[Client]) -> None:
    added: list[dict[str, str]] = []
    _during(clients, lambda: added.append(_run(server, "server-keys", "add", "next")))
    for client in clients:
        client.server_key = added[0]["server_key"]
    _during(clients, partial(_run, server, "server-keys", "revoke", "seeded"))
    _during(clients, partial(_run, server, "master-token", "rotate"))


def test_every_kind_of_key_is_rotated_under_load_and_nobody_is_refused(cluster: Cluster) -> None:
    with_user(cluster.told, NAME, PIN)
    with ExitStack() as stack:
        clients = [Client(cluster, number) for number in range(2)]
        for client in clients:
            stack.callback(client.close)

        _rotate_the_ring(cluster, clients)
        if len(cluster.nodes) == 1:  # rows of their own, which every node reads anew
            _rotate_the_credentials(cluster.told, clients)

    assert [client.refused for client in clients] == [[], []]
    former = httpx.post(
        f"{cluster.told.url}/v1/sessions", json={"subject": "a"}, headers=cluster.told.authorization
    )
    assert former.status_code == (401 if len(cluster.nodes) == 1 else 201)
