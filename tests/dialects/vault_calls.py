"""Calls to the vault's dialect, and what their answers must be."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.server_process import ServerProcess

PATH = "/api/v1/session-storage"
DOUBLED = PATH + PATH
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c3JfOWEyZjMxIn0.Zz0Q3Yk"
UNKNOWN = "store_" + "0" * 35


def a_user() -> str:
    return f"usr_{uuid.uuid4().hex[:12]}"


def in_an_hour() -> str:
    return after(timedelta(hours=1))


def after(duration: timedelta) -> str:
    return (datetime.now(UTC) + duration).isoformat()


def a_body(user: str, **members: object) -> dict[str, object]:
    return {"user_id": user, "token": TOKEN, "expires_at": in_an_hour()} | members


def saved(http: httpx.Client, user: str, **members: object) -> dict[str, Any]:
    answer = http.post(PATH, json=a_body(user, **members))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def listed(http: httpx.Client, **params: Any) -> dict[str, Any]:  # noqa: ANN401  a query takes any text
    answer = http.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(http: httpx.Client, **params: Any) -> list[str]:  # noqa: ANN401
    return [entry["id"] for entry in listed(http, **params)["data"]]


def assert_refused(answer: httpx.Response, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert list(answer.json()["error"]) == ["code", "message"]
    assert code in {None, answer.json()["error"]["code"]}


def session_of(http: httpx.Client, server: ServerProcess, user: str) -> dict[str, str]:
    """Return the header of a session of *user*."""
    answer = http.post("/v1/sessions", json={"subject": user}, headers=server.authorization)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
