"""Stack Auth: who may ask, and the order in which that is checked."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.stack_calls import (
    BEARER,
    CLIENT,
    NO_TYPE,
    NOBODY,
    PROJECT,
    SERVER,
    SESSIONS,
    Headers,
    Stack,
    Tokens,
    refusal,
    with_claims,
)
from tests.server_process import MASTER_TOKEN, SERVER_KEY

DOCS = (
    "\n\nFor more information, see the docs on REST API authentication: "
    "https://docs.stack-auth.com/rest-api/overview#authentication"
)


@pytest.fixture(scope="module")
def alice(stack: Stack) -> Tokens:
    return stack.signed_in(display_name="Alice")


# -- one row of the table of checks each ------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b'{"user_id": "a", "user_id": "b"}', b"\xff", b'{"a": 1}x'])
def test_1_a_body_that_is_no_json_is_refused_before_anything_else(stack: Stack, body: bytes) -> None:
    answer = stack.http.post(SESSIONS, headers={"content-type": "application/json"}, content=body)

    assert refusal(answer) == (400, "BODY_PARSING_ERROR")
    assert answer.json() == {"code": "BODY_PARSING_ERROR", "error": "Invalid JSON in request body"}


def test_1_a_body_of_another_type_is_refused_before_anything_else(stack: Stack) -> None:
    answer = stack.http.post(SESSIONS, headers={"content-type": "text/csv; charset=utf-8"}, content=b"a,b")

    assert answer.status_code == 400
    assert answer.json() == {
        "code": "BODY_PARSING_ERROR",
        "error": "Unknown content type in request body: text/csv",
    }


@pytest.mark.parametrize(
    "header",
    [
        "x-stack-publishable-client-key",
        "x-stack-secret-server-key",
        "x-stack-super-secret-admin-key",
        "x-stack-admin-access-token",
        "x-hexclave-secret-server-key",
    ],
)
def test_2_a_key_without_an_access_type_is_refused(stack: Stack, header: str) -> None:
    answer = stack.me({**NO_TYPE, header: SERVER_KEY})

    assert refusal(answer) == (400, "PROJECT_KEY_WITHOUT_ACCESS_TYPE")
    assert answer.json()["error"] == (
        "Either an API key or an admin access token was provided, but the x-stack-access-type header is missing. "
        "Set it to 'client', 'server', or 'admin' as appropriate."
    )
    assert "details" not in answer.json()


@pytest.mark.parametrize("headers", [{}, NO_TYPE, {"Authorization": "Basic YTpi"}])
def test_3_without_an_access_type_nobody_is_authenticated(stack: Stack, headers: Headers) -> None:
    answer = stack.http.post(SESSIONS, headers=headers, json={"user_id": NOBODY})

    assert refusal(answer) == (400, "ACCESS_TYPE_REQUIRED")
    assert answer.json()["error"] == (
        "You must specify an access level for this Stack project. Make sure project API keys are provided (eg. "
        "x-stack-publishable-client-key) and you set the x-stack-access-type header to 'client', 'server', or 'admin'."
        + DOCS
    )


def test_4_an_access_type_that_does_not_exist_is_refused(stack: Stack) -> None:
    answer = stack.me({**NO_TYPE, "x-stack-access-type": "root"})

    assert refusal(answer) == (400, "INVALID_ACCESS_TYPE")
    assert answer.json()["error"] == (
        "The x-stack-access-type header must be 'client', 'server', or 'admin', but was 'root'."
    )
    assert "details" not in answer.json()


def test_5_a_request_without_a_project_is_refused(stack: Stack) -> None:
    answer = stack.me({"x-stack-access-type": "client"})

    assert refusal(answer) == (400, "ACCESS_TYPE_WITHOUT_PROJECT_ID")
    assert answer.json()["details"] == {"request_type": "client"}
    assert answer.json()["error"] == (
        "The x-stack-access-type header was 'client', but the x-stack-project-id header was not provided."
        + DOCS
    )


@pytest.mark.parametrize(
    "token", ["12341234", "eyJh.eyJh.eyJh", "sda1_x", "session:1:2", "é", SERVER_KEY, MASTER_TOKEN]
)
def test_6_a_text_that_is_no_access_token_is_refused(stack: Stack, token: str) -> None:
    headers = httpx.Headers({**CLIENT, "x-stack-access-token": token}, encoding="utf-8")

    answer = stack.http.get("/api/v1/users/me", headers=headers)

    assert refusal(answer) == (401, "UNPARSABLE_ACCESS_TOKEN")
    assert answer.json()["error"] == "Access token is not parsable."


def test_6_a_forged_token_and_a_token_of_another_kind_are_refused(stack: Stack, alice: Tokens) -> None:
    native = stack.http.post("/v1/sessions", headers=BEARER, json={"subject": "alice"}).json()["access_token"]
    other_signature = alice.access[:-2] + ("AA" if alice.access[-2:] != "AA" else "BA")
    for token in (with_claims(alice.access, sub=NOBODY), other_signature, alice.refresh, native):
        assert refusal(stack.me({**CLIENT, "x-stack-access-token": token})) == (
            401,
            "UNPARSABLE_ACCESS_TOKEN",
        )


def test_6_another_projects_token_is_refused(
    stack: Stack, alice: Tokens, other_project: tuple[str, str]
) -> None:
    other, _ = other_project

    answer = stack.me({**alice.client, "x-stack-project-id": other})

    assert refusal(answer) == (401, "INVALID_PROJECT_FOR_ACCESS_TOKEN")
    assert answer.json()["details"] == {"expected_project_id": other, "actual_project_id": PROJECT}
    assert answer.json()["error"] == (
        f'Access token not valid for this project. Expected project ID "{other}", '
        f'but the token is for project ID "{PROJECT}".'
    )


def test_7_an_anonymous_users_token_needs_the_header_that_allows_it(stack: Stack) -> None:
    anonymous = stack.anonymous()

    refused = stack.me(anonymous.client)
    for text in ("false", "1", "TRUE"):
        assert stack.me({**anonymous.client, "x-stack-allow-anonymous-user": text}).status_code == 401
    allowed = stack.me({**anonymous.client, "x-stack-allow-anonymous-user": "true"})

    assert refusal(refused) == (401, "ANONYMOUS_AUTHENTICATION_NOT_ALLOWED")
    assert refused.json()["error"] == (
        "X-Stack-Access-Token is for an anonymous user, but anonymous users are not enabled. Set the "
        "X-Stack-Allow-Anonymous-User header of this request to 'true' to allow anonymous users."
    )
    assert (allowed.status_code, allowed.json()["is_anonymous"]) == (200, True)


def test_8_a_restricted_users_token_needs_a_header_that_allows_it(stack: Stack) -> None:
    restricted = stack.signed_in(restricted_by_admin=True, restricted_by_admin_reason="spam")

    refused = stack.me(restricted.client)

    assert refusal(refused) == (403, "RESTRICTED_USER_NOT_ALLOWED")
    assert refused.json()["details"] == {"restricted_reason": {"type": "restricted_by_administrator"}}
    assert refused.json()["error"] == (
        "The user in the access token is in restricted state. Reason: restricted_by_administrator. "
        "Please pass the X-Stack-Allow-Restricted-User header if this is intended."
    )
    for header in (
        "x-stack-allow-restricted-user",
        "x-hexclave-allow-restricted-user",
        "x-stack-allow-anonymous-user",
    ):
        assert stack.me({**restricted.client, header: "true"}).json()["restricted_by_admin_reason"] == "spam"


@pytest.mark.parametrize("project", [NOBODY, "default", "x", PROJECT + "0"])
def test_9_a_project_that_does_not_exist_is_refused(stack: Stack, project: str) -> None:
    answer = stack.me({**CLIENT, "x-stack-project-id": project})

    assert refusal(answer) == (400, "CURRENT_PROJECT_NOT_FOUND")
    assert answer.json()["details"] == {"project_id": project}
    assert answer.json()["error"] == (
        f"The current project with ID {project} was not found. Please check the value of the x-stack-project-id header."
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/sessions"),
        ("POST", SESSIONS),
        ("POST", "/api/v1/users"),
        ("GET", f"/api/v1/users/{NOBODY}"),
        ("DELETE", f"/api/v1/users/{NOBODY}"),
        ("DELETE", "/api/v1/users/me"),
    ],
)
def test_14_a_client_may_not_do_what_servers_do(stack: Stack, alice: Tokens, method: str, path: str) -> None:
    answer = stack.http.request(method, path, headers=alice.client)

    assert refusal(answer) == (401, "INSUFFICIENT_ACCESS_TYPE")
    assert answer.json()["details"] == {
        "actual_access_type": "client",
        "allowed_access_types": ["server", "admin"],
    }
    assert answer.json()["error"] == (
        "The x-stack-access-type header must be 'server' or 'admin', but was 'client'."
    )


def test_the_checks_are_made_in_their_order(stack: Stack) -> None:
    """Each request below fails every check from its number on; the first failure is the answer."""
    everything = {
        "x-stack-access-token": "12341234",
        "x-stack-branch-id": "dev",
        "x-stack-secret-server-key": "wrong",
        "content-type": "application/json",
    }
    project = {"x-stack-project-id": NOBODY}
    server = {"x-stack-access-type": "server"}
    steps: list[tuple[str, Headers, bytes]] = [
        ("BODY_PARSING_ERROR", everything, b"{"),
        ("PROJECT_KEY_WITHOUT_ACCESS_TYPE", everything, b"{}"),
        ("ACCESS_TYPE_REQUIRED", {**everything, "x-stack-secret-server-key": ""}, b"{}"),
        ("INVALID_ACCESS_TYPE", {**everything, "x-stack-access-type": "root"}, b"{}"),
        ("ACCESS_TYPE_WITHOUT_PROJECT_ID", {**everything, **server}, b"{}"),
        ("UNPARSABLE_ACCESS_TOKEN", {**everything, **server, **project}, b"{}"),
        ("CURRENT_PROJECT_NOT_FOUND", {**everything, **server, **project, "x-stack-access-token": ""}, b"{}"),
        ("INVALID_SECRET_SERVER_KEY", {**everything, **server, **NO_TYPE, "x-stack-access-token": ""}, b"{}"),
        ("BRANCH_DOES_NOT_EXIST", {**everything, **SERVER, "x-stack-access-token": ""}, b"{}"),
        ("SCHEMA_ERROR", {**SERVER, "content-type": "application/json"}, b"{}"),
    ]
    for code, headers, body in steps:
        answer = stack.http.post(SESSIONS, headers=headers, content=body)
        assert refusal(answer)[1] == code
    client = {**CLIENT, "x-stack-branch-id": "dev", "content-type": "application/json"}
    assert refusal(stack.http.post(SESSIONS, headers=client, content=b"{}"))[1] == "BRANCH_DOES_NOT_EXIST"
    del client["x-stack-branch-id"]
    assert refusal(stack.http.post(SESSIONS, headers=client, content=b"{}"))[1] == "INSUFFICIENT_ACCESS_TYPE"
