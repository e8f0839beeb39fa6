"""Row 7: each kind of token opens its own doors and no other; the table says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import httpx
import pytest

from tests.dialects.oauth_calls import ACCESS, DEFAULT, Calls, bearer
from tests.dialects.stack_calls import NO_TYPE

Knock = Callable[[httpx.Client, str], httpx.Response]

SESSIONS = (*ACCESS, "operator")
KEYS = ("server key", "master token", "operator")
PASSED = {200, 404}
"""404: whoever may ask for a user is told that this one is not there."""


class Door(NamedTuple):
    """How a token is shown, which kinds pass, and with which statuses all others are refused."""

    name: str
    knock: Knock
    opens: tuple[str, ...]
    refused: frozenset[int] = frozenset({401})


def by_header(path: str, method: str = "GET") -> Knock:
    return lambda http, text: http.request(method, path, headers=bearer(text))


def by_cookie(path: str, name: str, method: str = "GET") -> Knock:
    return lambda http, text: http.request(method, path, headers={"Cookie": f"{name}={text}"})


def by_stack(path: str, name: str, access_type: str, method: str = "GET") -> Knock:
    whose = {**NO_TYPE, "x-stack-access-type": access_type}
    return lambda http, text: http.request(method, path, headers=whose | {name: text})


def by_form(path: str, name: str, **form: str) -> Knock:
    return lambda http, text: http.post(path, data=form | {name: text})


def introspecting(http: httpx.Client, text: str) -> httpx.Response:
    return http.post("/oauth/introspect", headers=bearer(text), data={"token": "x"})


FORBIDDEN = frozenset({401, 403})
"""403: a subject is told that this is not for subjects."""

DOORS = [
    Door("a session", by_header("/v1/session"), SESSIONS),
    Door("a session, by cookie", by_cookie("/v1/session", "sid"), SESSIONS),
    Door("a till's session, by cookie", by_cookie("/v1/session", "accessToken"), SESSIONS),
    Door("an operator's session, by cookie", by_cookie("/v1/session", "pocketpaw_session"), SESSIONS),
    Door("forward-auth", by_header("/v1/verify"), SESSIONS),
    Door("the own sessions", by_header("/v1/me/sessions"), SESSIONS),
    Door("the vault", by_header("/api/v1/session-storage"), (*SESSIONS, *KEYS)),
    Door("everybody's sessions", by_header("/v1/sessions"), KEYS, FORBIDDEN),
    Door("subjects", by_header("/v1/subjects"), KEYS, FORBIDDEN),
    Door("keys", by_header("/v1/keys"), KEYS, FORBIDDEN),
    Door("introspection", introspecting, KEYS, FORBIDDEN),
    Door("Stack's users, as a server", by_header("/api/v1/users/x"), KEYS),
    Door(
        "Stack's users, by server key",
        by_stack("/api/v1/users/x", "x-stack-secret-server-key", "server"),
        ("server key",),
    ),
    Door(
        "Stack's users, by admin key",
        by_stack("/api/v1/users/x", "x-stack-super-secret-admin-key", "admin"),
        ("master token",),
    ),
    Door(
        "Stack's own user", by_stack("/api/v1/users/me", "x-stack-access-token", "client"), ("stack access",)
    ),
    Door(
        "refresh",
        lambda http, text: http.post("/v1/session/refresh", json={"refresh_token": text}),
        ("refresh",),
    ),
    Door(
        "refresh, by OAuth",
        by_form("/oauth/token", "refresh_token", grant_type="refresh_token"),
        ("refresh",),
        frozenset({400}),
    ),
    Door("a till's refresh", by_cookie("/auth/refresh", "refreshToken", "POST"), ("pin refresh",)),
    Door(
        "Stack's refresh",
        by_stack("/api/v1/auth/sessions/current/refresh", "x-stack-refresh-token", "client", "POST"),
        ("stack refresh",),
    ),
    Door(
        "Stack's refresh, by OAuth",
        by_form(
            "/api/v1/auth/oauth/token",
            "refresh_token",
            grant_type="refresh_token",
            client_id=DEFAULT,
            client_secret="__stack_public_client__",
        ),
        ("stack refresh",),
    ),
]


@pytest.fixture(scope="module")
def kinds(calls: Calls) -> Mapping[str, str]:
    """A live token of each kind, but for refresh tokens that rotate."""
    found = calls.every_kind() | {"one-time code": f"sdx1_{'A' * 49}", "nothing": "x"}
    found["exchanged"] = calls.exchange(found["access"]).json()["access_token"]
    del found["not ASCII"]
    return found


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_row_7_a_door_opens_for_its_own_kinds_only(
    calls: Calls, kinds: Mapping[str, str], door: Door
) -> None:
    shown = {**kinds, "refresh": calls.tokens().refresh}
    statuses: dict[str, int] = {}
    for kind, text in shown.items():
        calls.http.cookies.clear()
        statuses[kind] = door.knock(calls.http, text).status_code

    assert {kind for kind, status in statuses.items() if status in PASSED} == set(door.opens)
    assert {status for status in statuses.values() if status not in PASSED} <= door.refused


def test_row_7_what_is_exchanged_is_an_access_token(calls: Calls, kinds: Mapping[str, str]) -> None:
    passed = {kind for kind, text in kinds.items() if calls.exchange(text).status_code == 200}

    assert passed == set(ACCESS)
