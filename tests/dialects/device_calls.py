"""Calls to the device dialect, and what their answers hold."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import httpx

PATH = "/api/sessions"
DAY = 86_400


def a_device() -> str:
    return f"device-{uuid.uuid4()}"


def token_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["data"]
    assert list(body["data"]) == ["token"]
    token: str = body["data"]["token"]
    return token


def opened(http: httpx.Client, identifier: str, **headers: str) -> str:
    return token_of(http.post(PATH, json={"identifier": identifier}, headers=headers))


def decoded(token: str) -> list[dict[str, Any]]:
    """Return header and claims, their members in the order in which they stand."""
    return [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]
    ]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def session_of(http: httpx.Client, token: str) -> httpx.Response:
    return http.get("/v1/session", headers=bearer(token))
