"""A running server whose Redis goes away, comes back or is emptied fails closed, with no other 5xx than 503."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.servers.redis import RedisServer
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow

Answers = tuple[int, ...]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis server that a test may harm."""
    with RedisServer.started() as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, redis: RedisServer) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path, settings={"SESSIOND_DATABASE": redis.url()}) as server:
        yield server


class Client:
    """An application and one of its users."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        born = self._post("/v1/sessions", {"subject": "alice"}).json()
        self._mine = {"Authorization": f"Bearer {born['access_token']}"}
        self._refresh_token = born["refresh_token"]

    def answers(self) -> Answers:
        """Return how verify, create and readiness are answered."""
        return (
            httpx.get(f"{self._server.url}/v1/session", headers=self._mine).status_code,
            self._post("/v1/sessions", {"subject": "bob"}).status_code,
            httpx.get(f"{self._server.url}/readyz").status_code,
        )

    def refresh(self) -> int:
        """Return how a refresh is answered."""
        return self._post("/v1/session/refresh", {"refresh_token": self._refresh_token}).status_code

    def _post(self, path: str, body: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{self._server.url}{path}", json=body, headers=self._server.authorization)


ALL_IS_WELL = (200, 201, 200)


def test_a_server_refuses_while_redis_is_away_and_goes_on_by_itself(
    server: ServerProcess, redis: RedisServer
) -> None:
    client = Client(server)
    assert client.answers() == ALL_IS_WELL

    redis.kill()
    assert client.answers() == (503, 503, 503)
    assert client.refresh() == 503
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    redis.start()

    assert eventually(lambda: client.answers() == ALL_IS_WELL)


def test_an_emptied_database_ends_everything_and_is_not_started_on(
    server: ServerProcess, redis: RedisServer
) -> None:
    client = Client(server)
    assert client.answers() == ALL_IS_WELL

    redis.ask("FLUSHALL")
    assert {*client.answers(), client.refresh()} <= {401, 503}
    server.stop()

    started = server.run("sessions", "list")
    assert started.returncode != 0
    assert "is empty" in started.stderr
