"""Stack Auth: a user's sessions: list them, end another."""

from __future__ import annotations

import time
from uuid import UUID

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
    faults,
    plain,
    refusal,
)

DAY = 86_400_000


# -- list -------------------------------------------------------------------------------------------------------------


def test_a_user_sees_all_own_sessions_newest_first(stack: Stack) -> None:
    first = stack.signed_in()
    second = stack.session(first.user)

    items = stack.listed(first.client)

    assert [item["id"] for item in items] == [second.session, first.session]
    assert [item["is_current_session"] for item in items] == [False, True]
    assert list(items[0]) == [
        "id",
        "user_id",
        "created_at",
        "last_used_at",
        "is_impersonation",
        "is_current_session",
    ]
    assert str(UUID(items[0]["id"])) == items[0]["id"]
    assert items[0]["user_id"] == first.user
    assert abs(items[0]["created_at"] / 1000 - time.time()) < 60
    assert items[0]["last_used_at"] >= items[0]["created_at"]
    assert stack.listed(first.client, first.user) == items


def test_a_list_is_not_paginated(stack: Stack) -> None:
    tokens = stack.signed_in()

    body = stack.http.get(SESSIONS, headers=tokens.client, params={"user_id": "me"}).json()

    assert list(body) == ["items", "is_paginated"]
    assert body["is_paginated"] is False


def test_an_anonymous_users_session_tells_its_address(stack: Stack) -> None:
    tokens = stack.anonymous()

    (item,) = stack.listed({**tokens.client, "x-stack-allow-anonymous-user": "true"})

    assert item["last_used_at_end_user_ip_info"] == {"ip": "127.0.0.1"}


def test_impersonations_are_hidden_from_clients_and_servers_and_shown_to_admins(stack: Stack) -> None:
    tokens = stack.signed_in()
    stack.session(tokens.user, is_impersonation=True)
    stack.session(tokens.user, is_impersonation=False)

    for headers in (tokens.client, SERVER, BEARER):
        assert [item["is_impersonation"] for item in stack.listed(headers, tokens.user)] == [False, False]
    assert [item["is_impersonation"] for item in stack.listed(ADMIN, tokens.user)] == [False, True, False]


def test_a_client_lists_its_own_users_sessions_only(stack: Stack) -> None:
    alice, bob = stack.signed_in(), stack.signed_in()

    for headers in (alice.client, CLIENT):
        answer = stack.http.get(SESSIONS, headers=headers, params={"user_id": bob.user})
        assert plain(answer) == (403, "Client can only list sessions for their own user.")
    me = stack.http.get(SESSIONS, headers=CLIENT, params={"user_id": "me"})
    assert refusal(me) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


def test_a_server_names_the_user_whose_sessions_it_lists(stack: Stack) -> None:
    alice = stack.signed_in()

    missing = stack.http.get(SESSIONS, headers=SERVER)

    assert faults(missing) == ["query.user_id must be defined"]
    assert [item["is_current_session"] for item in stack.listed(SERVER, alice.user)] == [False]
    assert [item["is_current_session"] for item in stack.listed(alice.server)] == [True]
    assert stack.listed(SERVER, NOBODY) == []


def test_sessions_of_other_dialects_are_listed_and_the_operators_are_not(
    stack: Stack, operator: Headers
) -> None:
    user = stack.user()
    native = stack.http.post("/v1/sessions", headers=BEARER, json={"subject": user}).json()["session"]["id"]

    assert [item["id"] for item in stack.listed(SERVER, user)] == [native]
    assert stack.listed(SERVER, "operator") == []


# -- end another ------------------------------------------------------------------------------------------------------


def test_a_client_ends_another_session_of_its_user(stack: Stack) -> None:
    first = stack.signed_in()
    second = stack.session(first.user)
    assert len(stack.listed(first.client)) == 2

    ended = stack.end(second.session, first.client, first.user)

    assert (ended.status_code, ended.json()) == (200, {"success": True})
    assert [item["is_current_session"] for item in stack.listed(first.client)] == [True]
    assert refusal(stack.refresh(second.refresh)) == (401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert refusal(stack.me(second.client)) == (401, "ACCESS_TOKEN_EXPIRED")


@pytest.mark.parametrize("path", ["/auth/sessions", SESSIONS])
def test_the_current_session_is_not_ended_this_way(stack: Stack, path: str) -> None:
    tokens = stack.signed_in()

    for headers in (tokens.client, tokens.server):
        answer = stack.http.delete(
            f"{path}/{tokens.session}", headers=headers, params={"user_id": tokens.user}
        )
        assert refusal(answer) == (400, "CANNOT_DELETE_CURRENT_SESSION")
        assert answer.json() == {
            "code": "CANNOT_DELETE_CURRENT_SESSION",
            "error": "Cannot delete the current session.",
        }
    assert len(stack.listed(tokens.client)) == 1


def test_a_server_ends_any_session_and_need_not_name_its_user(stack: Stack) -> None:
    for user in (None, NOBODY):
        tokens = stack.signed_in()
        assert stack.end(tokens.session, SERVER, user).json() == {"success": True}
        assert stack.refresh(tokens.refresh).status_code == 401
        assert plain(stack.end(tokens.session, SERVER, user)) == (404, "Session not found.")


def test_a_client_names_itself(stack: Stack) -> None:
    alice, bob = stack.signed_in(), stack.signed_in()
    second = stack.session(alice.user)

    assert faults(stack.end(second.session, alice.client, None)) == ["query.user_id must be defined"]
    assert plain(stack.end(second.session, alice.client, bob.user)) == (404, "Session not found.")
    assert plain(stack.end(bob.session, alice.client, "me")) == (404, "Session not found.")
    assert plain(stack.end(bob.session, alice.client, bob.user)) == (404, "Session not found.")
    assert plain(stack.end(bob.session, CLIENT, bob.user)) == (404, "Session not found.")
    assert refusal(stack.end(bob.session, CLIENT, "me")) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert refusal(stack.end(bob.session, SERVER, "me")) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert stack.me(bob.client).status_code == 200


def test_an_unknown_session_is_not_found_and_a_bad_id_is_said_to_be_one(stack: Stack) -> None:
    assert plain(stack.end(NOBODY, SERVER, None)) == (404, "Session not found.")
    for bad in ("abc", NOBODY.replace("-", ""), "x" * 300):
        assert faults(stack.end(bad, SERVER, None)) == ["params.id must be a valid UUID"]
    assert faults(stack.end("%00", SERVER, None)) == [
        "The path is not percent-encoded UTF-8 without control characters."
    ]


def test_an_impersonation_can_be_ended_by_whoever_knows_its_id(stack: Stack) -> None:
    tokens = stack.session(stack.user(), is_impersonation=True)

    assert stack.end(tokens.session, SERVER, None).status_code == 200
    assert stack.me(tokens.client).status_code == 401


def test_an_application_cannot_end_the_operators_session(stack: Stack, operator: Headers) -> None:
    session = stack.http.get("/v1/session", headers=operator).json()["session"]["id"]

    assert plain(stack.end(session, SERVER, None)) == (404, "Session not found.")
    assert stack.http.get("/v1/session", headers=operator).status_code == 200
    assert stack.end(session, ADMIN, None).status_code == 200
    assert stack.http.get("/v1/session", headers=operator).status_code == 401
