"""Every act of the API that an event tells, how to do it once, and what it tells. Operations that tell nothing, too.

Each act makes what it needs with the house's own client, and is then asked for from an address of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx

from tests.dialects.browser_calls import Browser, session_of
from tests.dialects.native_calls import Holder, a_subject, bearer
from tests.dialects.stack_calls import CLIENT, SERVER, Stack
from tests.dialects.vault_calls import a_body
from tests.server_process import ServerProcess
from tests.till import NAME, PIN


class Ask(NamedTuple):
    """One request, but for its method: the path, the headers and the body."""

    path: str
    headers: Mapping[str, str] = {}
    json: object = None
    form: Mapping[str, str] | None = None


class House:
    """A server, its client, and who asks it."""

    def __init__(self, server: ServerProcess, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        self.key = server.authorization
        self.operator = bearer(server.master_token)
        self.stack = Stack(http)

    def holder(self, **members: object) -> Holder:
        return Holder(self.http, self.server, **members)

    def browser(self) -> tuple[Browser, str]:
        """Return a browser with two accounts, and the session of the one that is not current."""
        browser = Browser(self.http, self.server)
        former = session_of(browser.sign_in())
        browser.sign_in()
        return browser, former

    def subject(self) -> str:
        return self.holder().subject

    def entry(self, user: str | None = None) -> str:
        asked = a_body(user or a_subject())
        answer = self.http.post("/api/v1/session-storage", headers=self.key, json=asked)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def active_key(self) -> str:
        keys = self.http.get("/v1/keys", headers=self.operator).json()["items"]
        return next(str(key["kid"]) for key in keys if key["kind"] == "root" and key["state"] == "active")

    def till(self) -> str:
        """Sign the user in who has a PIN, and return the cookies."""
        answer = self.http.post("/auth/login", json={"name": NAME, "pin": PIN})
        assert answer.status_code == 200, answer.text
        return "; ".join(line.partition(";")[0] for line in answer.headers.get_list("set-cookie"))

    def operator_session(self) -> dict[str, str]:
        answer = self.http.post("/api/auth/session", headers=self.operator)
        return bearer(answer.json()["session_token"])


Act = tuple[set[str], Callable[[House], Ask]]


def _vault(house: House, entry: str = "", **more: Any) -> Ask:  # noqa: ANN401  members of `Ask`
    return Ask(f"/api/v1/session-storage{entry}", house.key, **more)


def _of(noun: str, verb: str = "", **more: Any) -> Callable[[House], Ask]:  # noqa: ANN401
    """Return the request of a server key about a new session or subject."""

    def ask(house: House) -> Ask:
        holder = house.holder()
        name = holder.id if noun == "sessions" else holder.subject
        return Ask(f"/v1/{noun}/{name}{verb}", house.key, **more)

    return ask


def _extended(house: House) -> Ask:
    short = house.holder(absolute_timeout_seconds=60)
    return Ask(f"/v1/sessions/{short.id}/extend", house.key, {})


def _own(path: str, json: object = None) -> Callable[[House], Ask]:
    def ask(house: House) -> Ask:
        holder = house.holder()
        return Ask(path.format(id=holder.id), holder.headers, json)

    return ask


def _switched(house: House) -> Ask:
    browser, former = house.browser()
    return Ask("/v1/session/switch", {"Cookie": browser.cookie}, {"session": former})


def _left(house: House) -> Ask:
    browser, former = house.browser()
    return Ask(f"/v1/session/accounts/{former}", {"Cookie": browser.cookie})


def _cleared(house: House) -> Ask:
    user = a_subject()
    house.entry(user)
    return _vault(house, f"?user_id={user}")


def _current(house: House) -> Ask:
    user = a_subject()
    house.entry(user)
    return _vault(house, f"/current?user_id={user}")


def _replaced(house: House) -> Ask:
    user = a_subject()
    return _vault(house, f"/{house.entry(user)}", json=a_body(user))


def _stack_ended(house: House) -> Ask:
    tokens = house.stack.signed_in()
    return Ask(f"/api/v1/auth/sessions/{tokens.session}?user_id={tokens.user}", SERVER)


ACTS: dict[str, Act] = {
    "POST /api/sessions": (
        {"session.issued", "subject.created"},
        lambda house: Ask("/api/sessions", house.key, {"identifier": f"device-{uuid.uuid4()}"}),
    ),
    "POST /v1/sessions": (
        {"session.issued", "subject.created"},
        lambda house: Ask("/v1/sessions", house.key, {"subject": a_subject()}),
    ),
    "PATCH /v1/sessions/{id}": ({"session.changed"}, _of("sessions", json={"metadata": {"a": 1}})),
    "DELETE /v1/sessions/{id}": ({"session.revoked"}, _of("sessions")),
    "POST /v1/sessions/{id}/extend": ({"session.changed"}, _extended),
    "POST /v1/sessions/{id}/authenticate": (
        {"session.stepped_up", "session.issued"},
        _of("sessions", "/authenticate", json={"acr": "gold"}),
    ),
    "POST /v1/sessions/revoke": (
        {"session.revoked"},
        lambda house: Ask("/v1/sessions/revoke", house.key, {"ids": [house.holder().id]}),
    ),
    "DELETE /v1/subjects/{id}/sessions": ({"subject.sessions_revoked"}, _of("subjects", "/sessions")),
    "DELETE /v1/project/sessions": (
        {"project.sessions_revoked"},
        lambda house: Ask("/v1/project/sessions", house.operator),
    ),
    "POST /v1/subjects": (
        {"subject.created"},
        lambda house: Ask("/v1/subjects", house.key, {"id": a_subject()}),
    ),
    "PATCH /v1/subjects/{id}": ({"subject.changed"}, _of("subjects", json={"name": "Al"})),
    "DELETE /v1/subjects/{id}": ({"subject.disabled", "subject.erased"}, _of("subjects")),
    "POST /v1/subjects/{id}/disable": ({"subject.disabled"}, _of("subjects", "/disable")),
    "POST /v1/subjects/{id}/enable": ({"subject.enabled"}, _of("subjects", "/enable")),
    "GET /v1/subjects/{id}/export": ({"subject.exported"}, _of("subjects", "/export")),
    "POST /v1/subjects/{id}/impersonate": (
        {"session.impersonated"},
        _of("subjects", "/impersonate", json={"actor": {"name": "carol"}, "reason": "asked"}),
    ),
    "POST /v1/sessions/{id}/link": (
        {"subject.linked", "subject.created", "session.issued", "session.revoked"},
        lambda house: Ask(
            f"/v1/sessions/{house.stack.anonymous().session}/link", house.key, {"subject": a_subject()}
        ),
    ),
    "DELETE /v1/session": ({"session.revoked"}, _own("/v1/session")),
    "DELETE /v1/me/sessions": ({"subject.sessions_revoked"}, _own("/v1/me/sessions")),
    "PATCH /v1/me/sessions/{id}": (
        {"session.changed"},
        _own("/v1/me/sessions/{id}", {"client": {"name": "phone"}}),
    ),
    "DELETE /v1/me/sessions/{id}": ({"session.revoked"}, _own("/v1/me/sessions/{id}")),
    "POST /v1/session/switch": ({"session.switched", "session.issued"}, _switched),
    "DELETE /v1/session/accounts/{id}": ({"session.revoked"}, _left),
    "POST /v1/keys/rotate": (
        {"keys.changed"},
        lambda house: Ask("/v1/keys/rotate", house.operator, {"kind": "vault"}),
    ),
    "PUT /v1/policy": (
        {"policy.changed"},
        lambda house: Ask(
            "/v1/policy", house.operator, house.http.get("/v1/policy", headers=house.key).json()["policy"]
        ),
    ),
    "PATCH /v1/policy": (
        {"policy.changed"},
        lambda house: Ask("/v1/policy", house.operator, {"max_sessions": 77}),
    ),
    "DELETE /v1/policy": ({"policy.changed"}, lambda house: Ask("/v1/policy", house.operator)),
    "PUT /v1/claims": (
        {"claims.changed"},
        lambda house: Ask("/v1/claims", house.operator, {"claims": {"tier": {"value": "gold"}}}),
    ),
    "POST /oauth/revoke": (
        {"session.revoked"},
        lambda house: Ask("/oauth/revoke", form={"token": house.holder().refresh_token}),
    ),
    "POST /auth/login": (
        {"session.issued"},
        lambda _: Ask("/auth/login", json={"name": NAME, "pin": PIN}),
    ),
    "POST /auth/logout": ({"session.revoked"}, lambda house: Ask("/auth/logout", {"Cookie": house.till()})),
    "POST /api/auth/session": (
        {"session.issued", "subject.created"},
        lambda house: Ask("/api/auth/session", house.operator),
    ),
    "POST /api/auth/login": (
        {"session.issued"},
        lambda house: Ask("/api/auth/login", json={"token": house.server.master_token}),
    ),
    "POST /api/auth/logout": (
        {"session.revoked"},
        lambda house: Ask("/api/auth/logout", house.operator_session()),
    ),
    "POST /api/v1/session-storage": ({"vault.saved"}, lambda house: _vault(house, json=a_body(a_subject()))),
    "DELETE /api/v1/session-storage": ({"vault.cleared"}, _cleared),
    "GET /api/v1/session-storage/{id}": (
        {"vault.read"},
        lambda house: _vault(house, f"/{house.entry()}"),
    ),
    "PUT /api/v1/session-storage/{id}": ({"vault.changed"}, _replaced),
    "DELETE /api/v1/session-storage/{id}": (
        {"vault.deleted"},
        lambda house: _vault(house, f"/{house.entry()}"),
    ),
    "GET /api/v1/session-storage/current": ({"vault.read"}, _current),
    "POST /auth/sessions": (
        {"session.issued"},
        lambda house: Ask("/api/v1/auth/sessions", SERVER, {"user_id": house.stack.user()}),
    ),
    "DELETE /auth/sessions/{id}": ({"session.revoked"}, _stack_ended),
    "POST /auth/anonymous/sign-up": (
        {"session.issued", "subject.created"},
        lambda _: Ask("/api/v1/auth/anonymous/sign-up", CLIENT),
    ),
    "DELETE /auth/sessions/current": (
        {"session.revoked"},
        lambda house: Ask("/api/v1/auth/sessions/current", house.stack.signed_in().client, {}),
    ),
    "DELETE /api/v1/users/me": (
        {"subject.deleted"},
        lambda house: Ask("/api/v1/users/me", house.stack.signed_in().server),
    ),
    "POST /api/v1/users": ({"subject.created"}, lambda _: Ask("/api/v1/users", SERVER, {})),
    "DELETE /api/v1/users/{id}": (
        {"subject.deleted"},
        lambda house: Ask(f"/api/v1/users/{house.stack.user()}", SERVER),
    ),
    # The last two: PINs fail after the one, and the master token is another after the other.
    "POST /v1/keys/{kid}/compromise": (
        {"keys.changed"},
        lambda house: Ask(f"/v1/keys/{house.active_key()}/compromise", house.operator),
    ),
    "POST /api/token/regenerate": (
        {"master_token.rotated", "subject.sessions_revoked"},
        lambda house: Ask("/api/token/regenerate", house.operator),
    ),
}
"""By operation: what its events are, and how it is asked for."""

SILENT = {
    "POST /v1/session/refresh",
    "POST /oauth/introspect",
    "POST /oauth/token",
    "POST /auth/refresh",
    "POST /auth/sessions/current/refresh",
    "POST /auth/oauth/token",
    "GET /v1/sessions",
    "GET /v1/sessions/{id}",
    "GET /v1/sessions/{id}/timeline",
    "GET /v1/subjects",
    "GET /v1/subjects/{id}",
    "GET /v1/session",
    "GET /v1/verify",
    "GET /v1/me/sessions",
    "GET /v1/me/sessions/{id}",
    "GET /v1/session/accounts",
    "GET /v1/keys",
    "GET /v1/policy",
    "GET /v1/claims",
    "GET /v1/events",
    "GET /v1/events/verify",
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/docs.js",
    "GET /docs/docs.css",
    "GET /api/v1/session-storage",
    "GET /api/v1/session-storage/validity",
    "GET /auth/sessions",
    "GET /api/v1/users/me",
    "GET /api/v1/users/{id}",
    "GET /api/v1/projects/{project_id}/.well-known/jwks.json",
    "GET /api/v1/projects-restricted-users/{project_id}/.well-known/jwks.json",
    "GET /api/v1/projects-anonymous-users/{project_id}/.well-known/jwks.json",
}
"""What changes nothing and hands out nothing that is kept for others, or is a refresh, which is counted."""
