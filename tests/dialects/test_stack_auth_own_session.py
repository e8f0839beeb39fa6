"""Stack Auth: sign out, sign up anonymously; what has ended has ended everywhere."""

from __future__ import annotations

import json

import pytest

from tests.dialects.stack_calls import (
    BEARER,
    CLIENT,
    PROJECT,
    SERVER,
    SESSIONS,
    Stack,
    Tokens,
    claims_of,
    faults,
    header_of,
    refusal,
    with_claims,
)

GONE = (401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
EXPIRED = (401, "ACCESS_TOKEN_EXPIRED")
CURRENT = f"{SESSIONS}/current"
TOKEN = "/api/v1/auth/oauth/token"


# -- sign out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/auth/sessions/current", CURRENT])
def test_sign_out_ends_the_session_of_the_access_token(stack: Stack, path: str) -> None:
    tokens = stack.signed_in()
    other = stack.session(tokens.user)

    answer = stack.http.request("DELETE", path, headers=tokens.client, json={})

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert refusal(stack.refresh(tokens.refresh)) == GONE
    assert stack.me(other.client).status_code == 200


def test_sign_out_needs_no_body(stack: Stack) -> None:
    assert stack.http.delete(CURRENT, headers=stack.signed_in().client).status_code == 200


def test_sign_out_without_an_access_token_is_refused_with_details(stack: Stack) -> None:
    answer = stack.sign_out(CLIENT)

    assert refusal(answer) == EXPIRED
    assert answer.json()["details"] == {
        "expired_at_millis": None,
        "project_id": None,
        "user_id": None,
        "refresh_token_id": None,
    }
    assert answer.json()["error"].startswith(
        "Access token has expired. Please refresh it and try again.\n\nDebug info: Most likely, you fetched"
    )


def test_sign_out_of_a_session_that_is_gone_says_so(stack: Stack) -> None:
    """The npm client's `signOut` takes this code for done, and throws on `ACCESS_TOKEN_EXPIRED`."""
    revoked, deleted = stack.signed_in(), stack.signed_in()
    stack.end(revoked.session, SERVER, None)
    stack.http.delete(f"/api/v1/users/{deleted.user}", headers=SERVER)

    assert refusal(stack.sign_out(revoked.client)) == GONE
    assert refusal(stack.sign_out(revoked.client)) == GONE
    assert refusal(stack.sign_out(deleted.client)) == GONE


def test_an_access_token_of_an_ended_session_is_refused_at_once_with_details(stack: Stack) -> None:
    tokens = stack.signed_in()
    stack.sign_out(tokens.client)

    for answer in (
        stack.me(tokens.client),
        stack.me(tokens.server),
        stack.http.get(SESSIONS, headers=tokens.client, params={"user_id": "me"}),
        stack.end(tokens.session, tokens.client),
        stack.http.post(SESSIONS, headers=tokens.server, json={"user_id": "me"}),
    ):
        assert refusal(answer) == EXPIRED
        details = answer.json()["details"]
        assert details["project_id"] == PROJECT
        assert details["user_id"] == tokens.user
        assert details["refresh_token_id"] == tokens.session
        assert isinstance(details["expired_at_millis"], int)
        for fact in (
            f"Project ID: {PROJECT}.",
            f"User ID: {tokens.user}.",
            f"Refresh token ID: {tokens.session}.",
        ):
            assert fact in answer.json()["error"]


# -- one core ---------------------------------------------------------------------------------------------------------


def test_the_native_api_knows_verifies_and_ends_these_sessions(stack: Stack) -> None:
    tokens = stack.signed_in()
    bearer = {"Authorization": f"Bearer {tokens.access}"}

    shown = stack.http.get("/v1/session", headers=bearer).json()["session"]
    listed = stack.http.get("/v1/sessions", headers=BEARER, params={"subject": tokens.user}).json()["items"]

    assert (shown["id"], shown["subject"], shown["kind"]) == (tokens.session, tokens.user, "stack")
    assert [item["id"] for item in listed] == [tokens.session]
    assert stack.http.delete(f"/v1/sessions/{tokens.session}", headers=BEARER).status_code == 204
    assert stack.http.get("/v1/session", headers=bearer).status_code == 401
    assert refusal(stack.me(tokens.client)) == EXPIRED
    assert refusal(stack.refresh(tokens.refresh)) == GONE
    assert stack.listed(SERVER, tokens.user) == []


def test_ending_here_ends_it_for_the_native_api(stack: Stack) -> None:
    tokens = stack.signed_in()

    stack.sign_out(tokens.client)

    assert (
        stack.http.get("/v1/session", headers={"Authorization": f"Bearer {tokens.access}"}).status_code == 401
    )


def test_a_refresh_token_proves_nothing_to_anybody_else(stack: Stack) -> None:
    tokens = stack.signed_in()
    bearer = {"Authorization": f"Bearer {tokens.refresh}"}

    shown = stack.http.get("/v1/session", headers=bearer)
    rotated = stack.http.post("/v1/session/refresh", json={"refresh_token": tokens.refresh})

    assert (shown.status_code, shown.json()["code"]) == (401, "wrong_token_kind")
    assert rotated.status_code == 401
    assert refusal(stack.me({**CLIENT, "x-stack-access-token": tokens.refresh})) == (
        401,
        "UNPARSABLE_ACCESS_TOKEN",
    )
    assert refusal(stack.me({**CLIENT, "x-stack-refresh-token": tokens.refresh})) == (
        400,
        "CANNOT_GET_OWN_USER_WITHOUT_USER",
    )
    assert stack.me(tokens.client).status_code == 200


def test_no_token_is_taken_from_the_url_or_a_cookie(stack: Stack) -> None:
    tokens = stack.signed_in()
    url = f"{CURRENT}/refresh?x-stack-refresh-token={tokens.refresh}&refresh_token={tokens.refresh}"

    assert faults(stack.http.post(url, headers=CLIENT)) == ["headers.x-stack-refresh-token must be defined"]
    cookies = {**CLIENT, "Cookie": f"stack-access={tokens.access}; accessToken={tokens.access}"}
    assert refusal(stack.me(cookies)) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


# -- anonymous users --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/auth/anonymous/sign-up", "/api/v1/auth/anonymous/sign-up"])
def test_an_anonymous_user_is_signed_up_and_signed_in(stack: Stack, path: str) -> None:
    answer = stack.http.post(path, headers=CLIENT)
    body = answer.json()
    allowed = {**CLIENT, "x-stack-access-token": body["access_token"], "x-stack-allow-anonymous-user": "true"}

    user = stack.me(allowed).json()

    assert answer.status_code == 200
    assert list(body) == ["access_token", "refresh_token", "user_id"]
    assert (user["id"], user["is_anonymous"], user["is_restricted"]) == (body["user_id"], True, True)
    assert user["restricted_reason"] == {"type": "anonymous"}
    assert stack.refresh(body["refresh_token"]).status_code == 200


def test_an_anonymous_users_tokens_are_signed_by_other_keys(stack: Stack) -> None:
    assert header_of(stack.anonymous().access)["kid"] != header_of(stack.signed_in().access)["kid"]


def test_a_forged_claim_is_never_believed(stack: Stack) -> None:
    tokens = stack.signed_in()
    victim: Tokens = stack.signed_in()

    for forged in (
        with_claims(tokens.access, sub=victim.user),
        with_claims(tokens.access, refresh_token_id=victim.session, sid=victim.session),
        with_claims(tokens.access, exp=2_000_000_000),
        with_claims(tokens.access, is_anonymous=True),
        json.dumps(claims_of(tokens.access)),
    ):
        assert refusal(stack.sign_out({**CLIENT, "x-stack-access-token": forged})) == (
            401,
            "UNPARSABLE_ACCESS_TOKEN",
        )
    assert stack.me(victim.client).status_code == 200
