"""Calls of the native API that several of its test files make."""

from __future__ import annotations

import uuid

import httpx

from tests.server_process import ServerProcess


def a_subject() -> str:
    """Return an id that nobody has."""
    return f"user-{uuid.uuid4()}"


def created(http: httpx.Client, server: ServerProcess, **members: object) -> httpx.Response:
    """Create a session, of a new subject unless one is named."""
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": a_subject()} | members)
    assert answer.status_code == 201, answer.text
    return answer


def bearer(token: str) -> dict[str, str]:
    """Return the header that presents *token*."""
    return {"Authorization": f"Bearer {token}"}


def shown(http: httpx.Client, token: str) -> httpx.Response:
    """Ask for the session of *token*."""
    return http.get("/v1/session", headers=bearer(token))


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """Fail unless *answer* is a problem of this status and code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status


class Holder:
    """One session, as its holder has it."""

    def __init__(self, http: httpx.Client, server: ServerProcess, **members: object) -> None:
        body = created(http, server, **members).json()
        self.id = str(body["session"]["id"])
        self.subject = str(body["session"]["subject"])
        self.refresh_token = str(body["refresh_token"])
        self.headers = bearer(body["access_token"])
        self._http = http

    def ask(self, method: str, path: str, **more: object) -> httpx.Response:
        """Send a request with the session's own token."""
        return self._http.request(method, path, headers=self.headers, **more)  # type: ignore[arg-type]

    def state(self) -> str:
        """Return `live`, or the code with which the session's token is refused."""
        answer = self.ask("GET", "/v1/session")
        return "live" if answer.status_code == 200 else str(answer.json()["code"])
