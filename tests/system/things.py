"""What the paths of the OpenAPI document name: made anew for each use, over the document's own operations."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx

from tests.server_process import ServerProcess
from tests.system.main_calls import add_stack_user, in_an_hour
from tests.system.writers import bearer

DEFAULT_PROJECT = "00000000-0000-4000-8000-000000000001"
CREDENTIALS = ("server key", "operator", "session", "browser", "nobody")

_STACK_SERVER = {"X-Stack-Project-Id": DEFAULT_PROJECT, "X-Stack-Access-Type": "server"}


class Thing(NamedTuple):
    """One thing, as a path names it; *end* says how it is ended, None where it cannot be."""

    name: str
    end: tuple[str, str] | None


class Holder(NamedTuple):
    """A subject that is signed in twice: with tokens, and in a browser."""

    subject: str
    session: str
    other: str
    headers: Mapping[str, Mapping[str, str]]


class Things:
    """Makes things on one server, each with a holder of its own."""

    def __init__(self, server: ServerProcess, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        self._makers: Mapping[str, Callable[[Holder], Thing]] = {
            "/v1/me/sessions/{id}": lambda holder: Thing(holder.other, _ends("sessions", holder.other)),
            "/v1/session/accounts/{id}": lambda holder: Thing(holder.other, _ends("sessions", holder.other)),
            "/v1/sessions/{id}": lambda holder: Thing(holder.session, _ends("sessions", holder.session)),
            "/v1/subjects/{id}": lambda holder: Thing(
                holder.subject, ("POST", f"/v1/subjects/{holder.subject}/disable")
            ),
            "/v1/keys/{kid}": lambda _: Thing(self._key(), None),
            "/api/v1/session-storage/{id}": lambda holder: self._entry(holder.subject),
            "/auth/sessions/{id}": lambda holder: Thing(holder.session, _ends("sessions", holder.session)),
            "/api/v1/users/{id}": lambda _: self._user(),
        }

    def holder(self) -> Holder:
        """Sign a new subject in, twice."""
        asked = {"subject": f"user-{uuid.uuid4()}"}
        tokens = self._made("/v1/sessions", asked)
        browser = self.http.post(
            "/v1/sessions", headers=self.server.authorization, json=asked | {"delivery": "cookie"}
        )
        cookie = browser.headers["set-cookie"].partition(";")[0]
        self.http.cookies.clear()
        return Holder(
            asked["subject"],
            tokens["session"]["id"],
            browser.json()["session"]["id"],
            {
                "server key": self.server.authorization | _STACK_SERVER,
                "operator": bearer(self.server.master_token) | _STACK_SERVER,
                "session": bearer(tokens["access_token"]),
                "browser": {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"},
                "nobody": {},
            },
        )

    def named_by(self, template: str, holder: Holder) -> Thing | None:
        """Make what the last name in *template* stands for; None where it has none, or one that stays."""
        if "{" not in template or "{project_id}" in template:
            return None
        fitting = [prefix for prefix in self._makers if template.startswith(prefix)]
        assert fitting, f"say how to make what {template} names, in Things"
        return self._makers[fitting[0]](holder)

    def end(self, thing: Thing) -> None:
        """End it as an application does."""
        if thing.end is not None:
            method, path = thing.end
            answer = self.http.request(method, path, headers=self.server.authorization)
            assert answer.is_success, answer.text

    def _made(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        answer = self.http.post(path, headers=self.server.authorization, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def _key(self) -> str:
        keys = self.http.get("/v1/keys", headers=bearer(self.server.master_token)).json()["items"]
        return str(keys[0]["kid"])

    def _entry(self, user: str) -> Thing:
        body = {"user_id": user, "token": "a-token-of-another-service", "expires_at": in_an_hour()}
        entry = self._made("/api/v1/session-storage", body)["id"]
        return Thing(entry, ("DELETE", f"/api/v1/session-storage/{entry}"))

    def _user(self) -> Thing:
        user = add_stack_user(self.http, self.server)
        return Thing(user, ("DELETE", f"/api/v1/users/{user}"))


def _ends(noun: str, name: str) -> tuple[str, str]:
    return "DELETE", f"/v1/{noun}/{name}"
