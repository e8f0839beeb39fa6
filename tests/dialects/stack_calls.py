"""Calls of the Stack Auth dialect, as its clients make them."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from tests.server_process import MASTER_TOKEN, SERVER_KEY

PROJECT = "00000000-0000-4000-8000-000000000001"
NOBODY = "11111111-1111-4111-8111-111111111111"
SESSIONS = "/api/v1/auth/sessions"
Headers = Mapping[str, str]

NO_TYPE: Headers = {"x-stack-project-id": PROJECT}
CLIENT: Headers = {**NO_TYPE, "x-stack-access-type": "client"}
SERVER: Headers = {**NO_TYPE, "x-stack-access-type": "server", "x-stack-secret-server-key": SERVER_KEY}
ADMIN: Headers = {**NO_TYPE, "x-stack-access-type": "admin", "x-stack-super-secret-admin-key": MASTER_TOKEN}
BEARER: Headers = {"Authorization": f"Bearer {SERVER_KEY}"}


class Tokens(NamedTuple):
    """What a session's holder has."""

    user: str
    access: str
    refresh: str

    @property
    def session(self) -> str:
        """The session's id."""
        return str(claims_of(self.access)["refresh_token_id"])

    @property
    def client(self) -> Headers:
        """The headers of a client that is signed in with the access token."""
        return {**CLIENT, "x-stack-access-token": self.access}

    @property
    def server(self) -> Headers:
        """The headers of a server that acts for the user of the access token."""
        return {**SERVER, "x-stack-access-token": self.access}


class Stack:
    """Calls against one server; the shapes that tests need again and again."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def user(self, **members: object) -> str:
        """Create a user and return its id."""
        answer = self.http.post("/api/v1/users", headers=SERVER, json=members)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def session(self, user: str, **members: object) -> Tokens:
        """Create a session for *user*."""
        answer = self.http.post(SESSIONS, headers=SERVER, json={"user_id": user, **members})
        assert answer.status_code == 200, answer.text
        return Tokens(user, answer.json()["access_token"], answer.json()["refresh_token"])

    def signed_in(self, **members: object) -> Tokens:
        """Create a user with a session."""
        return self.session(self.user(**members))

    def anonymous(self) -> Tokens:
        """Sign up an anonymous user."""
        answer = self.http.post("/api/v1/auth/anonymous/sign-up", headers=CLIENT)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return Tokens(body["user_id"], body["access_token"], body["refresh_token"])

    def refresh(self, token: str, **headers: str) -> httpx.Response:
        """Refresh as the REST API does."""
        return self.http.post(
            f"{SESSIONS}/current/refresh", headers={**CLIENT, **headers, "x-stack-refresh-token": token}
        )

    def token(self, **members: str) -> httpx.Response:
        """Refresh as the npm client does."""
        form = {
            "grant_type": "refresh_token",
            "client_id": PROJECT,
            "client_secret": "__stack_public_client__",
        }
        given = {name: value for name, value in {**form, **members}.items() if value}
        return self.http.post("/api/v1/auth/oauth/token", data=given)

    def me(self, headers: Headers) -> httpx.Response:
        """Ask who one is."""
        return self.http.get("/api/v1/users/me", headers=headers)

    def listed(self, headers: Headers, user: str = "me") -> list[dict[str, Any]]:
        """List a user's sessions."""
        answer = self.http.get(SESSIONS, headers=headers, params={"user_id": user})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def end(self, session: str, headers: Headers, user: str | None = "me") -> httpx.Response:
        """End a session."""
        query = {} if user is None else {"user_id": user}
        return self.http.delete(f"{SESSIONS}/{session}", headers=headers, params=query)

    def sign_out(self, headers: Headers) -> httpx.Response:
        """End the session of the access token, as the npm client does."""
        return self.http.request("DELETE", f"{SESSIONS}/current", headers=headers, json={})


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a known error, whose shape is checked: the npm client checks it, too."""
    body = answer.json()
    assert answer.headers["x-stack-known-error"] == body["code"]
    assert set(body) <= {"code", "details", "error"}
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.status_code, str(body["code"])


def faults(answer: httpx.Response) -> list[str]:
    """Return the problems that a `SCHEMA_ERROR` lists."""
    assert refusal(answer) == (400, "SCHEMA_ERROR")
    body = answer.json()
    assert body["details"] == {"message": body["error"]}
    head, *lines = body["error"].split("\n  - ")
    request = answer.request
    path = request.url.raw_path.decode().partition("?")[0]
    assert head == f"Request validation failed on {request.method} {path}:"
    return [str(line) for line in lines]


def plain(answer: httpx.Response) -> tuple[int, str]:
    """Return status and text of a refusal without a code."""
    assert "x-stack-known-error" not in answer.headers
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return answer.status_code, answer.text


def header_of(token: str) -> dict[str, Any]:
    """Return a JWT's header."""
    return _segment(token, 0)


def claims_of(token: str) -> dict[str, Any]:
    """Return a JWT's claims."""
    return _segment(token, 1)


def with_claims(token: str, **changes: object) -> str:
    """Return the JWT with other claims under its old signature."""
    head, _, signature = token.split(".")
    claims = json.dumps({**claims_of(token), **changes}).encode()
    return f"{head}.{urlsafe_b64encode(claims).rstrip(b'=').decode()}.{signature}"


def _segment(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    value: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value


def life_of(stack: Stack, tokens: Tokens) -> float:
    """Return how long the session lives, in seconds, as the native API tells."""
    session = stack.http.get("/v1/session", headers={"Authorization": f"Bearer {tokens.access}"}).json()[
        "session"
    ]
    instants = [
        time.strptime(session[name][:19], "%Y-%m-%dT%H:%M:%S") for name in ("created_at", "expires_at")
    ]
    return time.mktime(instants[1]) - time.mktime(instants[0])
