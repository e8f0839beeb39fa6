"""The main call of every dialect: one that writes, with the credential that its document shows."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from tests.server_process import ServerProcess

PIN = "0471"


class Call(NamedTuple):
    """One request, and the status of its success."""

    dialect: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, object] | None
    status: int

    def send(self, http: httpx.Client) -> httpx.Response:
        """Send it with a client that knows the base URL."""
        return http.post(self.path, headers=self.headers, json=self.body)


def in_an_hour() -> str:
    """Return an instant that is not over while a test runs, as the vault takes it."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    return later.strftime("%Y-%m-%dT%H:%M:%SZ")


def add_pin_user(server: ServerProcess, name: str, pin: str = PIN) -> None:
    """Add a user who signs in with a PIN, as an operator does."""
    done = server.run("users", "add", name, "--pin-stdin", stdin=pin)
    assert done.returncode == 0, done.stderr


def add_stack_user(http: httpx.Client, server: ServerProcess) -> str:
    """Create a user by the Stack dialect, and return the id."""
    answer = http.post("/api/v1/users", headers=server.authorization, json={"display_name": "Ann"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def main_calls(server: ServerProcess, *, pin_user: str, stack_user: str) -> list[Call]:
    """Return the main call of every dialect; each may be sent several times."""
    key = server.authorization
    return [
        Call("native", "/v1/sessions", key, {"subject": "alice"}, 201),
        Call("device", "/api/sessions", key, {"identifier": f"device-{uuid.uuid4()}"}, 200),
        Call("stack_auth", "/api/v1/auth/sessions", key, {"user_id": stack_user}, 200),
        Call("pin_login", "/auth/login", {}, {"name": pin_user, "pin": PIN}, 200),
        Call("pocketpaw", "/api/auth/session", {"Authorization": f"Bearer {server.master_token}"}, None, 200),
        Call(
            "session-storage",
            "/api/v1/session-storage",
            key,
            {"user_id": "usr_9a2f31", "token": "a-token-of-another-service", "expires_at": in_an_hour()},
            201,
        ),
    ]
