"""Tokens of every kind, and calls of the OAuth endpoints with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from tests.dialects.device_calls import a_device, opened
from tests.dialects.stack_calls import Stack
from tests.server_process import ServerProcess
from tests.system.refusals import assert_refused
from tests.till import signed_in, with_user

DEFAULT = "00000000-0000-4000-8000-000000000001"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ACCESS = ("access", "jwt", "cookie", "device", "pin access", "stack access", "stack anonymous access")
REFRESH = ("refresh", "pin refresh", "stack refresh")
NOBODYS = ("operator", "server key", "master token", "junk", "long junk", "not ASCII")


class Tokens(NamedTuple):
    """A session's tokens."""

    session: str
    subject: str
    access: str
    refresh: str


class Calls:
    """What clients of the OAuth endpoints of one server send."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self.server = server

    def tokens(self, key: str | None = None, **members: object) -> Tokens:
        """Create a session and return its tokens."""
        headers = self.server.authorization if key is None else bearer(key)
        asked = {"subject": f"user-{uuid.uuid4()}"} | members
        body = self.http.post("/v1/sessions", headers=headers, json=asked).json()
        session = body["session"]
        return Tokens(session["id"], session["subject"], body["access_token"], body["refresh_token"])

    def introspect(self, token: str, key: str | None = None) -> httpx.Response:
        """Ask what *token* means, with a server key."""
        headers = self.server.authorization if key is None else bearer(key)
        return self.http.post("/oauth/introspect", headers=headers, data={"token": token})

    def active(self, token: str, key: str | None = None) -> bool:
        """Tell whether *token* is active; fail where an inactive one says more than that."""
        answer = self.introspect(token, key)
        assert answer.status_code == 200, answer.text
        if answer.json()["active"] is True:
            return True
        assert answer.text == '{"active":false}'
        return False

    def revoke(self, token: str, headers: Mapping[str, str] | None = None, **more: str) -> None:
        """Revoke *token*; the answer is the same whatever it is."""
        answer = self.http.post("/oauth/revoke", headers=headers, data={"token": token} | more)
        assert (answer.status_code, answer.content) == (200, b"")
        assert "content-type" not in answer.headers

    def refresh(self, token: str, headers: Mapping[str, str] | None = None, **more: str) -> httpx.Response:
        """Ask for the next tokens."""
        form = {"grant_type": "refresh_token", "refresh_token": token} | more
        return self.http.post("/oauth/token", headers=headers, data=form)

    def exchange(
        self,
        token: str,
        headers: Mapping[str, str] | None = None,
        *,
        more: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask for a token for another service; by the default project's server key, unless *headers* are given."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": "https://billing.example",
        }
        headers = self.server.authorization if headers is None else headers
        return self.http.post("/oauth/token", headers=headers, data=form | dict(more or {}))

    def state(self, access: str) -> str:
        """Return `live`, or the code with which the native API refuses the access token."""
        answer = self.http.get("/v1/session", headers=bearer(access))
        return "live" if answer.status_code == 200 else str(answer.json()["code"])

    def every_kind(self) -> dict[str, str]:
        """Return a text of each kind of token, all of live sessions of the default project."""
        native, stack = self.tokens(), Stack(self.http)
        cookie = self.http.post(
            "/v1/sessions",
            headers=self.server.authorization,
            json={"subject": "browser", "delivery": "cookie"},
        )
        name = f"till-{uuid.uuid4().hex[:12]}"
        till = signed_in(with_user(self.server, name), name)
        user = stack.signed_in()
        operator = self.http.post("/api/auth/session", headers=bearer(self.server.master_token)).json()
        return {
            "access": native.access,
            "jwt": self.tokens(format="jwt").access,
            "cookie": cookie.headers["set-cookie"].partition(";")[0].partition("=")[2],
            "device": opened(self.http, a_device()),
            "pin access": till["accessToken"],
            "stack access": user.access,
            "stack anonymous access": stack.anonymous().access,
            "refresh": native.refresh,
            "pin refresh": till["refreshToken"],
            "stack refresh": user.refresh,
            "operator": operator["session_token"],
            "server key": self.server.server_key,
            "master token": self.server.master_token,
            "junk": native.access[:-1] + ("A" if native.access[-1] != "A" else "B"),
            "long junk": "eyJ" + "A" * 9000,
            "not ASCII": "sda1_ä\x00\u2028",
        }


def bearer(token: str) -> dict[str, str]:
    """Return the header that presents *token*."""
    return {"Authorization": f"Bearer {token}"}


def another_project(server: ServerProcess) -> tuple[str, str]:
    """Make a project with a server key; return its id and the key."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    made = _told(server, "projects", "add", name)
    return made["id"], _told(server, "server-keys", "add", "app", "--project", name)["server_key"]


def _told(server: ServerProcess, *arguments: str) -> dict[str, str]:
    done = server.run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def assert_error(answer: httpx.Response, status: int, error: str, code: str | None = None) -> None:
    """Fail unless *answer* is an error of RFC 6749's shape."""
    assert_refused(answer, "oauth", status)
    assert answer.json()["error"] == error
    assert code is None or answer.json()["code"] == code
    assert answer.headers["cache-control"] == "no-store"
