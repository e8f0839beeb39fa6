"""Stack Auth: a session for a user, and impersonation."""

from __future__ import annotations

import json

import pytest

from tests.dialects.stack_calls import (
    ADMIN,
    BEARER,
    CLIENT,
    NOBODY,
    SERVER,
    SESSIONS,
    Headers,
    Stack,
    claims_of,
    faults,
    life_of,
    refusal,
)
from tests.server_process import ServerProcess

DAY = 86_400_000


# -- create -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/auth/sessions", "/auth/sessions/", SESSIONS])
def test_the_documents_request_gets_credentials_for_the_user(stack: Stack, path: str) -> None:
    user = stack.user()

    answer = stack.http.post(path, headers=BEARER, json={"user_id": user})

    assert answer.status_code == 200
    assert list(answer.json()) == ["refresh_token", "access_token"]
    assert claims_of(answer.json()["access_token"])["sub"] == user
    assert set(answer.json()["refresh_token"]) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
    assert stack.refresh(answer.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("headers", [SERVER, ADMIN, BEARER])
def test_servers_and_admins_create_sessions(stack: Stack, headers: Headers) -> None:
    answer = stack.http.post(SESSIONS, headers=headers, json={"user_id": stack.user()})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("user", "named"), [(NOBODY, NOBODY), ("abc", "abc"), (5, "5"), (True, "true"), ("operator", "operator")]
)
def test_a_session_for_an_unknown_user_is_refused(
    stack: Stack, operator: Headers, user: object, named: str
) -> None:
    answer = stack.http.post(SESSIONS, headers=SERVER, json={"user_id": user})

    assert refusal(answer) == (400, "USER_ID_DOES_NOT_EXIST")
    assert answer.json()["details"] == {"user_id": named}
    assert answer.json()["error"] == f"The given user with the ID {named} does not exist."


@pytest.mark.parametrize("subject", ["alice", "ålice & co", "me2", "00000000000000000000000000000000"])
def test_any_subject_of_ours_is_a_user(stack: Stack, subject: str) -> None:
    stack.http.post("/v1/sessions", headers=BEARER, json={"subject": subject})

    tokens = stack.session(subject)

    assert claims_of(tokens.access)["sub"] == subject
    assert stack.me(tokens.client).json()["id"] == subject


def test_me_is_the_user_of_the_access_token(stack: Stack) -> None:
    alice = stack.signed_in()

    own = stack.http.post(SESSIONS, headers=alice.server, json={"user_id": "me"})
    nobody = stack.http.post(SESSIONS, headers=SERVER, json={"user_id": "me"})

    assert claims_of(own.json()["access_token"])["sub"] == alice.user
    assert refusal(nobody) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert nobody.json()["error"] == (
        "You have specified 'me' as a userId, but did not provide authentication for a user."
    )


@pytest.mark.parametrize(
    ("members", "seconds"),
    [
        ({}, 30 * 86_400),
        ({"is_impersonation": True}, 3_600),
        ({"expires_in_millis": 365 * DAY}, 365 * 86_400),
        ({"expires_in_millis": 367 * DAY}, 367 * 86_400),
        ({"expires_in_millis": 60_000, "is_impersonation": True}, 60),
    ],
)
def test_a_session_lives_as_long_as_was_asked_else_as_decided(
    stack: Stack, members: dict[str, object], seconds: float
) -> None:
    assert life_of(stack, stack.session(stack.user(), **members)) == pytest.approx(seconds, abs=3_601)


def test_a_year_and_a_few_days_is_the_longest_life(stack: Stack) -> None:
    answer = stack.http.post(
        SESSIONS, headers=SERVER, json={"user_id": NOBODY, "expires_in_millis": 370 * DAY}
    )

    assert faults(answer) == ["body.expires_in_millis must be less than or equal to 31708800000"]


def test_a_client_cannot_create_sessions(stack: Stack) -> None:
    body = {"user_id": NOBODY, "expires_in_millis": 366 * DAY}

    answer = stack.http.post(SESSIONS, headers=CLIENT, json=body)

    assert refusal(answer) == (401, "INSUFFICIENT_ACCESS_TYPE")


def test_an_impersonation_names_the_server_key_and_why(stack: Stack, server: ServerProcess) -> None:
    made = server.run("server-keys", "add", "support desk", "--json")
    bearer = {"Authorization": f"Bearer {json.loads(made.stdout)['server_key']}"}

    def actor_of(**members: object) -> object:
        body = {"user_id": stack.user(), **members}
        access = stack.http.post(SESSIONS, headers=bearer, json=body).json()["access_token"]
        shown = stack.http.get("/v1/session", headers={"Authorization": f"Bearer {access}"})
        return shown.json()["session"]["actor"]

    assert actor_of(is_impersonation=True) == {
        "name": "support desk",
        "reason": "Stack Auth API",
        "ticket": None,
        "subject": None,
        "session": None,
        "actor": None,
    }
    assert actor_of() is None


def test_an_impersonation_by_the_operator_names_the_operator(stack: Stack) -> None:
    body = {"user_id": stack.user(), "is_impersonation": True}

    access = stack.http.post(SESSIONS, headers=ADMIN, json=body).json()["access_token"]

    shown = stack.http.get("/v1/session", headers={"Authorization": f"Bearer {access}"})
    assert shown.json()["session"]["actor"]["name"] == "operator"
