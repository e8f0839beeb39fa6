"""Stack Auth: refresh, by the REST API and as the npm client does it; nothing rotates."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
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
    refusal,
)

GONE = (401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
EXPIRED = (401, "ACCESS_TOKEN_EXPIRED")
CURRENT = f"{SESSIONS}/current"
TOKEN = "/api/v1/auth/oauth/token"


# -- refresh ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/auth/sessions/current/refresh", f"{CURRENT}/refresh"])
def test_a_refresh_token_gets_a_fresh_access_token_again_and_again(stack: Stack, path: str) -> None:
    tokens = stack.signed_in()
    headers = {**CLIENT, "x-stack-refresh-token": tokens.refresh}

    answers = [stack.http.post(path, headers=headers) for _ in range(3)]

    assert [list(answer.json()) for answer in answers] == [["access_token"]] * 3
    assert len({answer.json()["access_token"] for answer in answers}) == 3
    for answer in answers:
        fresh = answer.json()["access_token"]
        assert claims_of(fresh)["refresh_token_id"] == tokens.session
        assert stack.me({**CLIENT, "x-stack-access-token": fresh}).json()["id"] == tokens.user
    assert stack.me(tokens.client).status_code == 200


@pytest.mark.parametrize("headers", [CLIENT, SERVER])
def test_refresh_is_for_clients_and_servers(stack: Stack, headers: dict[str, str]) -> None:
    token = stack.signed_in().refresh

    answer = stack.http.post(f"{CURRENT}/refresh", headers={**headers, "x-hexclave-refresh-token": token})

    assert answer.status_code == 200


def test_a_text_that_is_no_refresh_token_is_refused(stack: Stack) -> None:
    tokens = stack.signed_in()
    native = stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "alice"}).json()
    changed = tokens.refresh[:40] + ("A" if tokens.refresh[40] != "A" else "B") + tokens.refresh[41:]
    for text in (
        "something-invalid",
        "",
        changed,
        tokens.refresh + "A",
        tokens.access,
        native["refresh_token"],
        native["access_token"],
        "x" * 9000,
    ):
        for answer in (stack.refresh(text), stack.http.post(TOKEN, data=form(text))):
            assert refusal(answer) == GONE
            assert answer.json()["error"] == (
                "Refresh token not found for this project, or the session has expired/been revoked."
            )
            assert "details" not in answer.json()


def test_refresh_without_the_header_says_what_is_missing(stack: Stack) -> None:
    answer = stack.http.post(f"{CURRENT}/refresh", headers=CLIENT)

    assert faults(answer) == ["headers.x-stack-refresh-token must be defined"]


def test_revoked_sessions_do_not_refresh_and_others_do(stack: Stack) -> None:
    own = stack.signed_in()
    other = stack.session(own.user)
    assert stack.refresh(other.refresh).status_code == 200
    assert len(stack.listed(own.client)) == 2

    assert stack.end(other.session, own.client).status_code == 200

    assert refusal(stack.refresh(other.refresh)) == GONE
    assert refusal(stack.token(refresh_token=other.refresh)) == GONE
    assert stack.refresh(own.refresh).status_code == 200


def test_a_deleted_users_session_does_not_refresh(stack: Stack) -> None:
    tokens = stack.signed_in()

    deleted = stack.http.delete("/api/v1/users/me", headers=tokens.server)

    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert refusal(stack.refresh(tokens.refresh)) == GONE
    assert refusal(stack.refresh(tokens.refresh, **{"x-stack-access-token": tokens.access})) == GONE
    assert refusal(stack.token(refresh_token=tokens.refresh)) == GONE
    assert refusal(stack.me(tokens.client)) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


# -- the token endpoint -----------------------------------------------------------------------------------------------


def form(token: str) -> dict[str, str]:
    return {
        "grant_type": "refresh_token",
        "client_id": PROJECT,
        "client_secret": "pk",
        "refresh_token": token,
    }


@pytest.mark.parametrize("path", ["/auth/oauth/token", TOKEN])
def test_the_npm_clients_refresh_request_word_for_word(stack: Stack, path: str) -> None:
    tokens = stack.signed_in()
    body = f"refresh_token={tokens.refresh}&grant_type=refresh_token&client_id={PROJECT}&client_secret=pk"
    headers = {
        "content-type": "application/x-www-form-urlencoded;charset=UTF-8",
        "accept": "application/json",
        "user-agent": "oauth4webapi/v3.8.3",
    }

    answer = stack.http.post(path, headers=headers, content=body)

    assert answer.status_code == 200
    assert list(answer.json()) == [
        "access_token",
        "token_type",
        "expires_in",
        "scope",
        "afterCallbackRedirectUrl",
        "after_callback_redirect_url",
    ]
    assert {**answer.json(), "access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "legacy",
        "afterCallbackRedirectUrl": None,
        "after_callback_redirect_url": None,
    }
    assert stack.me({**CLIENT, "x-stack-access-token": answer.json()["access_token"]}).status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


def test_the_token_endpoint_takes_json_too(stack: Stack) -> None:
    answer = stack.http.post(TOKEN, json={**form(stack.signed_in().refresh), "more": 1})

    assert answer.status_code == 200
    assert 300 <= answer.json()["expires_in"] <= 600  # what is left of ten minutes


@pytest.mark.parametrize(
    "client_id", ["", "x", "11111111-1111-4111-8111-111111111111", f"{PROJECT}#dev", f"#{PROJECT}"]
)
def test_a_wrong_oauth_client_is_refused(stack: Stack, client_id: str) -> None:
    answer = stack.token(refresh_token=stack.signed_in().refresh, client_id=client_id)

    assert refusal(answer) == (400, "INVALID_OAUTH_CLIENT_ID_OR_SECRET")
    assert answer.json()["details"] == {"client_id": None}
    assert answer.json()["error"] == (
        "The OAuth client ID or secret is invalid. The client ID must be equal to the project ID (potentially with a "
        "hash and a branch ID), and the client secret must be a publishable client key."
    )


def test_the_client_id_may_name_the_main_branch(stack: Stack) -> None:
    refresh = stack.signed_in().refresh

    assert stack.token(refresh_token=refresh, client_id=f"{PROJECT}#main").status_code == 200
    assert stack.token(refresh_token=refresh, client_secret="").status_code == 200


def test_a_refresh_without_a_token_is_an_oauth_error(stack: Stack) -> None:
    missing = stack.token()
    unsupported = stack.token(grant_type="authorization_code", code="x")

    assert missing.status_code == 400
    assert missing.json() == {
        "error": "invalid_request",
        "error_description": "Missing parameter: `refresh_token`",
    }
    assert (unsupported.status_code, unsupported.json()["error"]) == (400, "unsupported_grant_type")


def test_a_field_that_stands_twice_is_refused(stack: Stack) -> None:
    content = "&".join(f"{name}={value}" for name, value in form("a").items()) + "&refresh_token=b"

    answer = stack.http.post(
        TOKEN, headers={"content-type": "application/x-www-form-urlencoded"}, content=content
    )

    assert refusal(answer) == (400, "BODY_PARSING_ERROR")


# -- at once ----------------------------------------------------------------------------------------------------------


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_eight_refreshes_at_once_all_succeed(stack: Stack) -> None:
    tokens = stack.signed_in()

    answers = at_once(*[lambda: stack.token(refresh_token=tokens.refresh)] * 8)

    assert [answer.status_code for answer in answers] == [200] * 8
    assert stack.refresh(tokens.refresh).status_code == 200


@pytest.mark.parametrize("way", ["rest", "oauth"])
def test_refreshing_while_signing_out_never_fails_otherwise_than_by_refusal(stack: Stack, way: str) -> None:
    for _ in range(10):
        tokens = stack.signed_in()

        def refresh(tokens: Tokens = tokens) -> httpx.Response:
            if way == "rest":
                return stack.refresh(tokens.refresh)
            return stack.http.post(TOKEN, json=form(tokens.refresh))

        def sign_out(tokens: Tokens = tokens) -> httpx.Response:
            return stack.sign_out(tokens.client)

        refreshed, ended = at_once(refresh, sign_out)

        assert ended.status_code == 200
        assert refreshed.status_code == 200 or refusal(refreshed) == GONE
        assert refusal(stack.refresh(tokens.refresh)) == GONE
