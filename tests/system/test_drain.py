"""SIGTERM: what was accepted is answered, nothing new is, and the next start may follow at once."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.main_calls import PIN, add_pin_user
from tests.system.waiting import WITHIN_SECONDS, eventually
from tests.system.wire import Wire, head
from tests.system.writers import bearer, cookies_of

pytestmark = pytest.mark.slow

DRAIN_TIMEOUT_SECONDS = 600
STOPS_WITHIN_SECONDS = 120
"""Far less than a drain may take: a stop that runs into its end has waited for somebody in vain."""


class Held:
    """A request whose head the server has read, and for whose body it waits: certainly in flight."""

    def __init__(self, wire: Wire, path: str, body: dict[str, str], headers: dict[str, str]) -> None:
        self.wire = wire
        self._body = json.dumps(body).encode()
        more = {"Content-Type": "application/json", "Content-Length": str(len(self._body))}
        self.wire.send(head("POST", path, headers | more | {"Expect": "100-continue"}))
        self.wire.expect_continue()

    def go_on(self) -> None:
        """Send the body."""
        self.wire.send(self._body)

    def answer(self) -> httpx.Response:
        """Return the answer, which must come."""
        answer = self.wire.answer(to="POST")
        assert answer is not None, "an accepted request was not answered"
        return answer


class Holder:
    """Holds requests to a server, and lets go of their connections in the end."""

    def __init__(self, connections: contextlib.ExitStack, server: ServerProcess) -> None:
        self._connections = connections
        self._server = server

    def create(self, subject: str, server: ServerProcess | None = None) -> Held:
        """Hold a native create."""
        server = server or self._server
        return Held(self._wire(server), "/v1/sessions", {"subject": subject}, server.authorization)

    def login(self, name: str) -> Held:
        """Hold a sign-in with a PIN."""
        return Held(self._wire(self._server), "/auth/login", {"name": name, "pin": PIN}, {})

    def _wire(self, server: ServerProcess) -> Wire:
        return self._connections.enter_context(Wire(server.port))


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"SESSIOND_DRAIN_TIMEOUT": f"{DRAIN_TIMEOUT_SECONDS}s"}
    with ServerProcess.started(tmp_path, settings=settings) as process:
        yield process


@pytest.fixture
def holder(fresh_server: ServerProcess) -> Iterator[Holder]:
    with contextlib.ExitStack() as connections:
        yield Holder(connections, fresh_server)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WITHIN_SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


def test_accepted_requests_are_answered_and_new_connections_refused(
    fresh_server: ServerProcess, holder: Holder
) -> None:
    server = fresh_server
    add_pin_user(server, "anna")
    creates = [holder.create(f"user-{number}") for number in range(20)]
    logins = [holder.login("anna") for _ in range(4)]

    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: is_refused(server.port))
    for held in (*creates, *logins):
        held.go_on()
    created = [held.answer() for held in creates]
    signed_in = [held.answer() for held in logins]

    assert server.process.wait(timeout=STOPS_WITHIN_SECONDS) == 0
    assert {answer.status_code for answer in created} == {201}
    assert {answer.status_code for answer in signed_in} == {200}
    assert {answer.headers["connection"] for answer in (*created, *signed_in)} == {"close"}
    server.restart()
    with httpx.Client(base_url=server.url) as http:
        tokens = [answer.json()["access_token"] for answer in created]
        tokens += [cookies_of(answer)["accessToken"] for answer in signed_in]
        assert {http.get("/v1/session", headers=bearer(token)).status_code for token in tokens} == {200}


def test_creates_that_never_cease_do_not_hold_the_server_up(fresh_server: ServerProcess) -> None:
    server = fresh_server
    tokens: list[str] = []
    statuses: set[int] = set()
    running = threading.Event()

    def create_until_gone() -> None:
        with contextlib.suppress(httpx.TransportError), httpx.Client(base_url=server.url) as http:
            while True:
                answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": "anna"})
                statuses.add(answer.status_code)
                tokens.append(answer.json()["access_token"])
                if len(tokens) > 40:
                    running.set()

    threads = [threading.Thread(target=create_until_gone) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert running.wait(timeout=WITHIN_SECONDS)
    code = server.stop()
    for thread in threads:
        thread.join(timeout=WITHIN_SECONDS)

    assert code == 0
    assert statuses == {201}
    server.restart()
    with httpx.Client(base_url=server.url) as http:
        assert {http.get("/v1/session", headers=bearer(token)).status_code for token in tokens} == {200}


def test_an_idle_connection_holds_nothing_up(fresh_server: ServerProcess) -> None:
    with Wire(fresh_server.port) as idle, Wire(fresh_server.port) as silent:
        idle.send(head("GET", "/healthz", {}))
        assert idle.answer() is not None

        assert fresh_server.stop() == 0

        assert idle.is_closed()
        assert silent.is_closed()


def test_half_a_head_holds_nothing_up(fresh_server: ServerProcess) -> None:
    with Wire(fresh_server.port) as half:
        half.send(b"GET /healthz HTTP/1.1\r\nHost: 127")
        httpx.get(f"{fresh_server.url}/healthz")
        begun = time.monotonic()

        assert fresh_server.stop() == 0

        assert time.monotonic() - begun < STOPS_WITHIN_SECONDS


def test_a_second_sigterm_ends_the_waiting(fresh_server: ServerProcess, holder: Holder) -> None:
    server = fresh_server
    held = holder.create("anna")
    begun = time.monotonic()

    server.process.send_signal(signal.SIGTERM)
    eventually(lambda: is_refused(server.port))
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(timeout=STOPS_WITHIN_SECONDS) == 0
    assert time.monotonic() - begun < STOPS_WITHIN_SECONDS
    assert held.wire.answer() is None


def test_a_request_that_never_ends_is_given_up_after_the_drain_timeout(
    fresh_server: ServerProcess, holder: Holder
) -> None:
    server = fresh_server
    server.stop()
    with_short_drain = ServerProcess.started(
        server.data_dir.parent, port=server.port, settings={"SESSIOND_DRAIN_TIMEOUT": "1s"}
    )
    with with_short_drain as short:
        held = holder.create("anna", short)
        begun = time.monotonic()

        assert short.stop() == 0

        assert time.monotonic() - begun < STOPS_WITHIN_SECONDS
        assert held.wire.answer() is None


def test_the_same_port_serves_again_at_once(fresh_server: ServerProcess) -> None:
    server = fresh_server
    with httpx.Client(base_url=server.url) as http:
        body = http.post("/v1/sessions", headers=server.authorization, json={"subject": "anna"}).json()
        for _ in range(2):
            assert server.stop() == 0
            server.restart()
            assert (
                httpx.get(f"{server.url}/v1/session", headers=bearer(body["access_token"])).status_code == 200
            )
    assert "Traceback" not in server.log()
