"""Stack Auth: access tokens and the keys that others verify them with."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from tests.dialects.stack_calls import PROJECT, Stack, Tokens, claims_of, faults, header_of, plain
from tests.server_process import ServerProcess

REGULAR = f"/api/v1/projects/{PROJECT}/.well-known/jwks.json"
USUAL: dict[str, Any] = {
    "project_id": PROJECT,
    "branch_id": "main",
    "role": "authenticated",
    "selected_team_id": None,
    "requires_totp_mfa": False,
}


def keys_at(stack: Stack, path: str) -> list[dict[str, str]]:
    answer = stack.http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert list(answer.json()) == ["keys"]
    keys: list[dict[str, str]] = answer.json()["keys"]
    return keys


def verified(stack: Stack, token: str, path: str, **expected: str) -> dict[str, Any]:
    """Verify as another service does: with nothing but the published keys."""
    (key,) = [key for key in keys_at(stack, path) if key["kid"] == header_of(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, jwt.PyJWK(key), algorithms=["ES256"], **expected)  # type: ignore[arg-type]
    return claims


def common(tokens: Tokens) -> dict[str, Any]:
    return {**USUAL, "sub": tokens.user, "refresh_token_id": tokens.session}


def test_a_users_access_token_has_exactly_the_originals_claims_and_ours(
    stack: Stack, server: ServerProcess
) -> None:
    tokens = stack.signed_in(display_name="Alice", primary_email="a@b.c", primary_email_verified=True)
    claims = claims_of(tokens.access)
    issuer = f"{server.url}/api/v1/projects/{PROJECT}"

    assert set(header_of(tokens.access)) == {"alg", "kid"}
    assert header_of(tokens.access)["alg"] == "ES256"
    assert verified(stack, tokens.access, REGULAR, issuer=issuer, audience=PROJECT) == claims
    times = {name: claims.pop(name) for name in ("iat", "exp", "signed_up_at")}
    ours = {name: claims.pop(name) for name in ("sid", "gen", "jti")}
    assert claims == {
        **common(tokens),
        "name": "Alice",
        "email": "a@b.c",
        "email_verified": True,
        "is_anonymous": False,
        "is_restricted": False,
        "restricted_reason": None,
        "iss": issuer,
        "aud": PROJECT,
    }
    assert abs(times["iat"] - time.time()) < 60
    assert times["exp"] - times["iat"] == 600
    assert times["signed_up_at"] <= times["iat"]
    assert (ours["sid"], ours["gen"]) == (tokens.session, 0)


def test_a_user_without_a_name_has_null_claims(stack: Stack) -> None:
    claims = claims_of(stack.signed_in().access)

    assert (claims["name"], claims["email"], claims["email_verified"]) == (None, None, False)


@pytest.mark.parametrize("name", ["😀" * 256, '"\\' * 128, "\n\t\u0001" * 85, "a\u2028b"])
def test_any_name_and_address_fit_into_a_token(stack: Stack, name: str) -> None:
    tokens = stack.signed_in(display_name=name, primary_email="x" * 240 + "@example.com")

    assert stack.me(tokens.client).json()["display_name"] == name
    assert len(tokens.access) < 4096


def test_an_anonymous_users_access_token_has_an_issuer_and_audience_of_its_own(
    stack: Stack, server: ServerProcess
) -> None:
    tokens = stack.anonymous()
    issuer = f"{server.url}/api/v1/projects-anonymous-users/{PROJECT}"

    claims = verified(
        stack, tokens.access, f"{REGULAR}?include_anonymous=true", issuer=issuer, audience=f"{PROJECT}:anon"
    )

    assert (claims["is_anonymous"], claims["is_restricted"]) == (True, True)
    assert claims["restricted_reason"] == {"type": "anonymous"}


def test_a_restricted_users_access_token_has_an_issuer_and_audience_of_its_own(
    stack: Stack, server: ServerProcess
) -> None:
    tokens = stack.signed_in(restricted_by_admin=True)
    issuer = f"{server.url}/api/v1/projects-restricted-users/{PROJECT}"

    claims = verified(
        stack,
        tokens.access,
        f"{REGULAR}?include_restricted=true",
        issuer=issuer,
        audience=f"{PROJECT}:restricted",
    )

    assert (claims["is_anonymous"], claims["is_restricted"]) == (False, True)
    assert claims["restricted_reason"] == {"type": "restricted_by_administrator"}


@pytest.mark.parametrize(
    ("path", "count"),
    [
        (REGULAR, 2),
        (f"{REGULAR}?include_restricted=false&include_anonymous=false", 2),
        (f"{REGULAR}?include_restricted=true", 4),
        (f"{REGULAR}?include_anonymous=true", 6),
        (f"{REGULAR}?include_anonymous=true&include_restricted=false", 6),
        (f"/api/v1/projects-restricted-users/{PROJECT}/.well-known/jwks.json", 4),
        (f"/api/v1/projects-anonymous-users/{PROJECT}/.well-known/jwks.json", 6),
    ],
)
def test_the_published_keys_are_two_for_each_audience(stack: Stack, path: str, count: int) -> None:
    keys = keys_at(stack, path)

    assert len({key["kid"] for key in keys}) == len(keys) == count
    for key in keys:
        assert sorted(key) == ["alg", "crv", "kid", "kty", "x", "y"]
        assert (key["kty"], key["alg"], key["crv"]) == ("EC", "ES256", "P-256")
        assert len(key["kid"]) == 12


def test_each_issuer_has_the_keys_of_its_own_tokens_below_it(stack: Stack, server: ServerProcess) -> None:
    for tokens in (stack.signed_in(), stack.signed_in(restricted_by_admin=True), stack.anonymous()):
        claims = claims_of(tokens.access)
        path = claims["iss"].removeprefix(server.url) + "/.well-known/jwks.json"
        assert verified(stack, tokens.access, path, issuer=claims["iss"], audience=claims["aud"]) == claims


@pytest.mark.parametrize("project", ["11111111-1111-4111-8111-111111111111", "x", "default"])
def test_an_unknown_project_has_no_keys(stack: Stack, project: str) -> None:
    for issuer in ("projects", "projects-restricted-users", "projects-anonymous-users"):
        answer = stack.http.get(f"/api/v1/{issuer}/{project}/.well-known/jwks.json")
        assert plain(answer) == (404, "Project not found")


def test_a_bad_flag_is_refused(stack: Stack) -> None:
    answer = stack.http.get(f"{REGULAR}?include_anonymous=1")

    assert faults(answer) == ["query.include_anonymous must be one of the following values: true, false"]


def test_keys_are_public_whatever_else_a_request_says(stack: Stack) -> None:
    answer = stack.http.get(REGULAR, headers={"x-stack-access-type": "root", "x-stack-access-token": "x"})

    assert answer.status_code == 200
