"""Stack Auth: what every answer has in common, and what other sites' scripts may do."""

from __future__ import annotations

import json

import pytest

from tests.dialects.stack_calls import CLIENT, NOBODY, PROJECT, SERVER, SESSIONS, Stack, refusal
from tests.server_process import ServerProcess
from tests.system.waiting import eventually

PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


def test_a_success_says_that_it_must_not_be_kept(stack: Stack) -> None:
    answer = stack.http.post("/api/v1/users", headers=SERVER, json={})

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store, max-age=0"
    assert answer.headers["x-stack-request-id"] == answer.headers["x-request-id"]
    assert "\n" not in answer.text


def test_a_browser_that_asks_for_a_page_gets_indented_json(stack: Stack) -> None:
    answer = stack.http.post("/api/v1/users", headers={**SERVER, "Accept": "text/html,*/*"}, json={})

    assert answer.text == json.dumps(answer.json(), indent=2)


def test_a_refusal_is_indented_and_must_not_be_kept(stack: Stack) -> None:
    answer = stack.me(CLIENT)

    assert answer.text == json.dumps(answer.json(), indent=2)
    assert list(answer.json()) == ["code", "error"]
    assert answer.headers["cache-control"] == "no-store, max-age=0"
    assert answer.headers["x-stack-request-id"]


def test_details_stand_between_code_and_error(stack: Stack) -> None:
    answer = stack.http.post(SESSIONS, headers=SERVER, json={"user_id": NOBODY})

    assert list(answer.json()) == ["code", "details", "error"]


@pytest.mark.parametrize("header", ["X-Stack-Override-Error-Status", "X-Hexclave-Override-Error-Status"])
def test_a_refusal_may_be_sent_as_a_success_that_says_its_status(stack: Stack, header: str) -> None:
    known = stack.me({**CLIENT, header: "true"})
    text = stack.end(NOBODY, {**SERVER, header: "true"}, None)
    success = stack.http.get(f"/api/v1/projects/{PROJECT}/.well-known/jwks.json", headers={header: "true"})

    assert (known.status_code, known.headers["x-stack-actual-status"]) == (200, "400")
    assert refusal(known) == (200, "CANNOT_GET_OWN_USER_WITHOUT_USER")
    assert (text.status_code, text.headers["x-stack-actual-status"], text.text) == (
        200,
        "404",
        "Session not found.",
    )
    assert "x-stack-actual-status" not in success.headers


@pytest.mark.parametrize(
    "path",
    ["/auth/sessions", SESSIONS, f"{SESSIONS}/current", f"{SESSIONS}/x", "/api/v1/users/me", "/api/v1/users"],
)
def test_any_site_may_ask_without_credentials(stack: Stack, path: str) -> None:
    preflight = stack.http.options(path, headers=PREFLIGHT)
    asked = stack.http.get("/api/v1/users/me", headers={**CLIENT, "Origin": "https://app.example"})

    assert (preflight.status_code, preflight.content) == (200, b"")
    assert preflight.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE, OPTIONS"
    assert preflight.headers["access-control-max-age"] == "86400"
    allowed = preflight.headers["access-control-allow-headers"].lower().split(", ")
    assert {
        "x-stack-access-token",
        "x-hexclave-access-token",
        "x-stack-refresh-token",
        "x-stack-override-error-status",
        "content-type",
        "authorization",
        "ngrok-skip-browser-warning",
    } <= set(allowed)
    for answer in (preflight, asked):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert answer.headers["access-control-expose-headers"] == (
            "content-type, x-stack-actual-status, x-stack-known-error"
        )


def test_other_dialects_answer_no_other_site(stack: Stack) -> None:
    for path in ("/v1/session", "/api/sessions", "/auth/login"):
        answer = stack.http.options(path, headers=PREFLIGHT)
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-origin" not in stack.http.get(path).headers


def test_no_token_or_key_is_logged(stack: Stack, server: ServerProcess) -> None:
    tokens = stack.signed_in()
    everything = {**tokens.server, "x-stack-refresh-token": tokens.refresh}
    stack.me(everything)
    stack.refresh(tokens.refresh)
    stack.token(refresh_token=tokens.refresh)
    stack.http.post(SESSIONS, headers={**everything, "content-type": "application/json"}, content=b"{")
    last = stack.me({**everything, "x-stack-access-token": tokens.access + "x"}).headers["x-request-id"]

    log = eventually(lambda: server.log() if last in server.log() else "")

    assert "/api/v1/users/me" in log
    for secret in (tokens.access, tokens.refresh, server.server_key, server.master_token):
        assert secret not in log
        assert secret.rpartition(".")[2] not in log
