"""Stack Auth: users as the npm client needs them."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from tests.dialects.stack_calls import ADMIN, BEARER, CLIENT, NOBODY, SERVER, Stack, plain, refusal
from tests.server_process import MASTER_TOKEN

CLIENT_MEMBERS = {
    "id",
    "primary_email",
    "primary_email_verified",
    "display_name",
    "client_metadata",
    "client_read_only_metadata",
    "profile_image_url",
    "signed_up_at_millis",
    "has_password",
    "auth_with_email",
    "oauth_providers",
    "selected_team_id",
    "selected_team",
    "requires_totp_mfa",
    "otp_auth_enabled",
    "passkey_auth_enabled",
    "is_anonymous",
    "is_restricted",
    "restricted_reason",
    "restricted_by_admin",
    "restricted_by_admin_reason",
}
SERVER_MEMBERS = CLIENT_MEMBERS | {
    "primary_email_auth_enabled",
    "server_metadata",
    "last_active_at_millis",
    "restricted_by_admin_private_details",
    "country_code",
    "risk_scores",
}
FULL: dict[str, object] = {
    "display_name": "Bób “the builder” \n",
    "primary_email": "bob@example.com",
    "primary_email_verified": True,
    "primary_email_auth_enabled": True,
    "profile_image_url": "https://example.com/bob.png",
    "client_metadata": {"a": [1, None, {"b": "c"}]},
    "client_read_only_metadata": "text",
    "server_metadata": {"plan": "pro"},
    "restricted_by_admin": True,
    "restricted_by_admin_reason": "spam",
    "restricted_by_admin_private_details": "rule 7",
}


def test_a_user_is_created_with_what_was_given(stack: Stack) -> None:
    answer = stack.http.post("/api/v1/users", headers=SERVER, json=FULL)
    user = answer.json()

    assert answer.status_code == 201
    assert set(user) == SERVER_MEMBERS
    assert {name: user[name] for name in FULL} == FULL
    assert UUID(user["id"]).version == 4
    assert abs(user["signed_up_at_millis"] / 1000 - time.time()) < 60
    assert user["last_active_at_millis"] == user["signed_up_at_millis"]
    assert user["risk_scores"] == {"sign_up": {"bot": 0, "free_trial_abuse": 0}}
    assert (user["is_restricted"], user["restricted_reason"]) == (
        True,
        {"type": "restricted_by_administrator"},
    )
    assert stack.http.get(f"/api/v1/users/{user['id']}", headers=SERVER).json() == user


def test_a_user_may_be_created_with_nothing(stack: Stack) -> None:
    user = stack.http.post("/api/v1/users", headers=ADMIN, json={}).json()

    assert {name: value for name, value in user.items() if value} == {
        "id": user["id"],
        "signed_up_at_millis": user["signed_up_at_millis"],
        "last_active_at_millis": user["last_active_at_millis"],
        "risk_scores": {"sign_up": {"bot": 0, "free_trial_abuse": 0}},
    }
    assert user["oauth_providers"] == []


def test_what_is_cast_is_kept_as_it_was_cast(stack: Stack) -> None:
    body = {
        "display_name": 5,
        "primary_email_verified": "true",
        "is_anonymous": "true",
        "primary_email": None,
    }

    user = stack.http.post("/api/v1/users", headers=SERVER, json=body).json()

    assert (user["display_name"], user["primary_email_verified"], user["is_anonymous"]) == ("5", True, True)


def test_members_of_the_original_that_say_nothing_are_accepted(stack: Stack) -> None:
    body: dict[str, object] = {
        "password": None,
        "otp_auth_enabled": False,
        "oauth_providers": [],
        "display_name": None,
    }

    assert stack.http.post("/api/v1/users", headers=SERVER, json=body).status_code == 201


def test_the_user_sees_what_clients_may_see(stack: Stack) -> None:
    tokens = stack.signed_in(**FULL)
    allow = {"x-stack-allow-restricted-user": "true"}

    own = stack.me({**tokens.client, **allow})
    by_server = stack.me({**tokens.server, **allow})

    assert set(own.json()) == CLIENT_MEMBERS
    assert set(by_server.json()) == SERVER_MEMBERS
    assert own.json()["id"] == by_server.json()["id"] == tokens.user


def test_only_an_access_token_is_needed_to_be_someone(stack: Stack) -> None:
    assert stack.me(stack.signed_in().client).status_code == 200


@pytest.mark.parametrize("headers", [CLIENT, SERVER, ADMIN])
def test_nobody_has_no_own_user(stack: Stack, headers: dict[str, str]) -> None:
    answer = stack.me(headers)

    assert refusal(answer) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert answer.json()["error"] == (
        "You have specified 'me' as a userId, but did not provide authentication for a user."
    )


@pytest.fixture(scope="module")
def operator(stack: Stack) -> None:
    """Have the operator signed in once: then it is a subject."""
    stack.http.post("/api/auth/session", headers={"Authorization": f"Bearer {MASTER_TOKEN}"})


@pytest.mark.parametrize("user", [NOBODY, "x", "a b", "%F0%9F%90%9D", "operator", "x" * 300])
def test_an_unknown_user_is_not_found(stack: Stack, operator: None, user: str) -> None:
    for method in ("GET", "DELETE"):
        answer = stack.http.request(method, f"/api/v1/users/{user}", headers=SERVER)
        assert refusal(answer) == (404, "USER_NOT_FOUND")
        assert answer.json() == {"code": "USER_NOT_FOUND", "error": "User not found."}


def test_a_server_sees_when_a_user_was_last_active(stack: Stack) -> None:
    tokens = stack.signed_in()

    user = stack.http.get(f"/api/v1/users/{tokens.user}", headers=SERVER).json()

    assert user["last_active_at_millis"] >= user["signed_up_at_millis"]


def test_a_subject_of_any_origin_is_a_user(stack: Stack) -> None:
    stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "grün/1"})

    user = stack.http.get("/api/v1/users/gr%C3%BCn%2F1", headers=SERVER)

    assert (user.status_code, user.json()["id"]) == (200, "grün/1")


def test_a_deleted_user_is_gone_with_all_sessions(stack: Stack) -> None:
    first = stack.signed_in()
    second = stack.session(first.user)
    native = stack.http.post("/v1/sessions", headers=BEARER, json={"subject": first.user}).json()[
        "access_token"
    ]

    answer = stack.http.delete(f"/api/v1/users/{first.user}", headers=SERVER)

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert refusal(stack.http.get(f"/api/v1/users/{first.user}", headers=SERVER)) == (404, "USER_NOT_FOUND")
    for tokens in (first, second):
        assert stack.refresh(tokens.refresh).status_code == 401
        assert refusal(stack.me(tokens.client)) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert stack.http.get("/v1/session", headers={"Authorization": f"Bearer {native}"}).status_code == 401
    assert refusal(stack.http.delete(f"/api/v1/users/{first.user}", headers=SERVER)) == (
        404,
        "USER_NOT_FOUND",
    )
    refused = stack.http.post("/auth/sessions", headers=BEARER, json={"user_id": first.user})
    assert refusal(refused) == (400, "USER_ID_DOES_NOT_EXIST")


def test_a_user_that_is_created_again_does_not_revive_sessions(stack: Stack) -> None:
    stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "phoenix"})
    old = stack.session("phoenix")
    stack.http.delete("/api/v1/users/phoenix", headers=SERVER)

    stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "phoenix"})

    assert refusal(stack.me(old.client)) == (401, "ACCESS_TOKEN_EXPIRED")
    assert stack.refresh(old.refresh).status_code == 401


def test_a_user_that_is_created_again_does_not_inherit_what_the_vault_kept(stack: Stack) -> None:
    entry = {"user_id": "heir", "token": "x" * 30, "expires_at": "2199-01-01T00:00:00Z"}
    stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "heir"})
    saved = stack.http.post("/api/v1/session-storage", headers=BEARER, json=entry)
    stack.http.delete("/api/v1/users/heir", headers=SERVER)

    made = stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "heir"}).json()
    heir = {"Authorization": f"Bearer {made['access_token']}"}

    assert saved.status_code == 201
    assert stack.http.get("/api/v1/session-storage", headers=heir).json()["data"] == []


@pytest.mark.parametrize("path", ["/api/v1/users/a/b", "/api/v1/auth/nothing", "/auth/sessions/a/b"])
def test_an_unknown_path_is_refused_in_this_dialects_shape(stack: Stack, path: str) -> None:
    assert plain(stack.http.get(path, headers=SERVER))[0] == 404


@pytest.mark.parametrize("path", ["/users/me", "/users", "/projects/x/.well-known/jwks.json"])
def test_users_and_projects_answer_below_api_v1_only(stack: Stack, path: str) -> None:
    assert stack.http.get(path, headers=SERVER).status_code == 404


def test_a_wrong_method_is_refused_with_those_that_are_right(stack: Stack) -> None:
    answer = stack.http.put("/api/v1/users/me", headers=SERVER, json={})

    assert plain(answer)[0] == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
