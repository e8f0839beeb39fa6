"""Stack Auth: keys: what each access type must present, a server key as Bearer, and that projects never meet."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.stack_calls import (
    ADMIN,
    BEARER,
    CLIENT,
    NO_TYPE,
    NOBODY,
    PROJECT,
    SERVER,
    SESSIONS,
    Stack,
    Tokens,
    faults,
    refusal,
)
from tests.server_process import MASTER_TOKEN, SERVER_KEY, ServerProcess

PUBLISHABLE_KEY = "pck-publishable-0123456789abcdefghijklmnop"


@pytest.fixture(scope="module")
def alice(stack: Stack) -> Tokens:
    return stack.signed_in(display_name="Alice")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server whose clients must present a publishable key."""
    settings = {"SESSIOND_STACK_AUTH_PUBLISHABLE_CLIENT_KEY": PUBLISHABLE_KEY}
    with (
        ServerProcess.started(tmp_path_factory.mktemp("keyed"), settings=settings) as process,
        httpx.Client(base_url=process.url) as http,
    ):
        yield Stack(http)


@pytest.mark.parametrize("key", [None, "__stack_public_client__", "any-key"])
def test_10_a_client_needs_no_key_where_the_project_has_none(
    stack: Stack, alice: Tokens, key: str | None
) -> None:
    headers = {} if key is None else {"x-stack-publishable-client-key": key}

    assert stack.me({**alice.client, **headers}).status_code == 200


def test_10_a_client_needs_the_key_where_the_project_has_one(keyed: Stack) -> None:
    def asked(key: str | None) -> httpx.Response:
        headers = {} if key is None else {"x-stack-publishable-client-key": key}
        return keyed.http.post("/api/v1/auth/anonymous/sign-up", headers={**CLIENT, **headers})

    missing, wrong = asked(None), asked("wrong")

    assert refusal(missing) == refusal(asked("__stack_public_client__"))
    assert refusal(missing) == (401, "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT")
    assert missing.json()["details"] == {"project_id": PROJECT}
    assert missing.json()["error"] == (
        "Publishable client keys are required for this project. Create one in Project Keys, or disable this "
        "requirement there to allow keyless client access."
    )
    assert refusal(wrong) == (401, "INVALID_PUBLISHABLE_CLIENT_KEY")
    assert wrong.json()["details"] == {"project_id": PROJECT}
    assert wrong.json()["error"] == (
        f'The publishable key is not valid for the project "{PROJECT}". Does the project and/or the key exist?'
    )
    assert asked(PUBLISHABLE_KEY).status_code == 200


def test_10_the_token_endpoint_needs_the_key_too_and_a_server_does_not(keyed: Stack) -> None:
    refresh = keyed.signed_in().refresh

    missing = keyed.token(refresh_token=refresh)
    wrong = keyed.token(refresh_token=refresh, client_secret="wrong")

    assert refusal(missing) == (401, "PUBLISHABLE_CLIENT_KEY_REQUIRED_FOR_PROJECT")
    assert refusal(wrong) == (400, "INVALID_OAUTH_CLIENT_ID_OR_SECRET")
    assert keyed.token(refresh_token=refresh, client_secret=PUBLISHABLE_KEY).status_code == 200


def test_11_a_server_needs_its_key(stack: Stack) -> None:
    for key, code in ((None, "SERVER_AUTHENTICATION_REQUIRED"), ("", "SERVER_AUTHENTICATION_REQUIRED")):
        headers = {**NO_TYPE, "x-stack-access-type": "server"} | (
            {} if key is None else {"x-stack-secret-server-key": key}
        )
        answer = stack.me(headers)
        assert refusal(answer) == (401, code)
        assert answer.json()["error"] == "The secret server key must be provided."


@pytest.mark.parametrize("key", ["wrong", MASTER_TOKEN, "x" * 9000, "with space"])
def test_11_a_wrong_server_key_is_refused(stack: Stack, key: str) -> None:
    answer = stack.me({**SERVER, "x-stack-secret-server-key": key})

    assert refusal(answer) == (401, "INVALID_SECRET_SERVER_KEY")
    assert answer.json()["details"] == {"project_id": PROJECT}
    assert answer.json()["error"] == (
        f'The secret server key is not valid for the project "{PROJECT}". Does the project and/or the key exist?'
    )


def test_12_an_admin_needs_the_master_token(stack: Stack) -> None:
    missing = stack.me({**NO_TYPE, "x-stack-access-type": "admin"})
    wrong = stack.me({**ADMIN, "x-stack-super-secret-admin-key": SERVER_KEY})

    assert refusal(missing) == (401, "ADMIN_AUTHENTICATION_REQUIRED")
    assert missing.json()["error"] == "The super secret admin key must be provided."
    assert refusal(wrong) == (401, "INVALID_SUPER_SECRET_ADMIN_KEY")
    assert wrong.json()["details"] == {"project_id": PROJECT}
    assert wrong.json()["error"] == (
        f'The super secret admin key is not valid for the project "{PROJECT}". Does the project and/or the key exist?'
    )
    assert refusal(stack.me(ADMIN)) == (400, "CANNOT_GET_OWN_USER_WITHOUT_USER")


def test_13_there_is_no_branch_but_main(stack: Stack, alice: Tokens) -> None:
    answer = stack.me({**alice.client, "x-stack-branch-id": "dev"})

    assert refusal(answer) == (400, "BRANCH_DOES_NOT_EXIST")
    assert answer.json()["details"] == {"branch_id": "dev"}
    assert answer.json()["error"] == "The branch with ID dev does not exist."
    assert stack.me({**alice.client, "x-stack-branch-id": "main"}).status_code == 200


# -- the server key as Bearer, and the other prefix --------------------------------------------------------------------


def test_a_server_key_as_bearer_is_server_access_to_the_default_project(stack: Stack) -> None:
    user = stack.user()

    answer = stack.http.post("/auth/sessions", headers=BEARER, json={"user_id": user})

    assert answer.status_code == 200
    assert sorted(answer.json()) == ["access_token", "refresh_token"]


@pytest.mark.parametrize("authorization", ["Bearer wrong", "Bearer", "Bearer a b", "Bearer " + "x" * 9000])
def test_a_wrong_bearer_key_is_refused(stack: Stack, authorization: str) -> None:
    answer = stack.http.post(
        "/auth/sessions", headers={"Authorization": authorization}, json={"user_id": NOBODY}
    )

    assert refusal(answer) == (401, "INVALID_SECRET_SERVER_KEY")


def test_a_users_own_tokens_are_no_server_keys(stack: Stack, alice: Tokens) -> None:
    for token in (alice.access, alice.refresh):
        answer = stack.http.post(
            "/auth/sessions", headers={"Authorization": f"Bearer {token}"}, json={"user_id": alice.user}
        )
        assert refusal(answer) == (401, "INVALID_SECRET_SERVER_KEY")


def test_the_operators_bearer_is_admin_access(stack: Stack) -> None:
    user = stack.user()
    stack.session(user, is_impersonation=True)
    operator = stack.http.post(
        "/api/auth/session", headers={"Authorization": f"Bearer {MASTER_TOKEN}"}
    ).json()["session_token"]

    for token in (MASTER_TOKEN, operator):
        assert len(stack.listed({"Authorization": f"Bearer {token}"}, user)) == 1
    assert stack.listed(BEARER, user) == []


def test_a_client_is_a_client_whatever_it_bears(stack: Stack, alice: Tokens) -> None:
    answer = stack.http.post(SESSIONS, headers={**CLIENT, **BEARER}, json={"user_id": alice.user})

    assert refusal(answer) == (401, "INSUFFICIENT_ACCESS_TYPE")


def test_a_server_key_opens_its_own_project_only(stack: Stack, other_project: tuple[str, str]) -> None:
    other, key = other_project
    foreign = {"Authorization": f"Bearer {key}"}
    body = {"user_id": NOBODY}

    assert (
        refusal(stack.http.post("/auth/sessions", headers=foreign, json=body))[1]
        == "INVALID_SECRET_SERVER_KEY"
    )
    assert (
        refusal(stack.http.post(SESSIONS, headers={**SERVER, "x-stack-secret-server-key": key}, json=body))[1]
        == "INVALID_SECRET_SERVER_KEY"
    )
    assert (
        refusal(stack.http.post(SESSIONS, headers={**BEARER, "x-stack-project-id": other}, json=body))[1]
        == "INVALID_SECRET_SERVER_KEY"
    )
    own = {**foreign, "x-stack-project-id": other}
    assert refusal(stack.http.post(SESSIONS, headers=own, json=body))[1] == "USER_ID_DOES_NOT_EXIST"
    created = stack.http.post("/api/v1/users", headers=own, json={})
    assert created.status_code == 201
    assert stack.http.post(SESSIONS, headers=own, json={"user_id": created.json()["id"]}).status_code == 200


def test_nothing_crosses_projects(stack: Stack, alice: Tokens, other_project: tuple[str, str]) -> None:
    other, key = other_project
    theirs = {**SERVER, "x-stack-project-id": other, "x-stack-secret-server-key": key}

    assert refusal(stack.http.get(f"/api/v1/users/{alice.user}", headers=theirs)) == (404, "USER_NOT_FOUND")
    assert stack.listed(theirs, alice.user) == []
    assert stack.end(alice.session, theirs, None).status_code == 404
    gone = (401, "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED")
    assert refusal(stack.refresh(alice.refresh, **{"x-stack-project-id": other})) == gone
    assert refusal(stack.token(refresh_token=alice.refresh, client_id=other)) == gone
    assert stack.me(alice.client).status_code == 200


def test_the_newer_header_prefix_means_the_same(stack: Stack, alice: Tokens) -> None:
    renamed = {name.replace("x-stack-", "x-hexclave-"): value for name, value in alice.client.items()}
    server = {name.replace("x-stack-", "x-hexclave-"): value for name, value in SERVER.items()}

    assert stack.me(renamed).json()["id"] == alice.user
    assert stack.http.get(f"/api/v1/users/{alice.user}", headers=server).status_code == 200
    refused = stack.me({**renamed, "x-hexclave-access-token": "12341234"})
    assert refusal(refused) == (401, "UNPARSABLE_ACCESS_TOKEN")


def test_two_values_of_one_header_are_refused(stack: Stack, alice: Tokens) -> None:
    both = stack.me({**alice.client, "x-hexclave-project-id": NOBODY})
    twice = stack.http.get(
        "/api/v1/users/me", headers=[*alice.client.items(), ("x-stack-access-token", "12341234")]
    )

    assert faults(both) == ["headers.x-stack-project-id must be given once"]
    assert faults(twice) == ["headers.x-stack-access-token must be given once"]
    assert stack.me({**alice.client, "x-hexclave-project-id": PROJECT}).status_code == 200


def test_a_development_override_key_overrides_nothing(stack: Stack) -> None:
    answer = stack.http.post(
        SESSIONS,
        headers={**NO_TYPE, "x-stack-access-type": "server", "x-stack-development-override-key": SERVER_KEY},
        json={"user_id": NOBODY},
    )

    assert refusal(answer) == (401, "SERVER_AUTHENTICATION_REQUIRED")
