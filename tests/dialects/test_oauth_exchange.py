"""Token exchange (RFC 8693) over TCP against a real server: narrower only, and dead with its parent."""

from __future__ import annotations

import jwt
import pytest

from tests.dialects.oauth_calls import (
    ACCESS,
    ACCESS_TOKEN,
    DEFAULT,
    NOBODYS,
    REFRESH,
    Calls,
    another_project,
    assert_error,
    bearer,
)
from tests.dialects.stack_calls import CLIENT

BILLING = "https://billing.example"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


def exchanged(oauth: Calls, token: str) -> str:
    answer = oauth.exchange(token)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_an_access_token_is_exchanged_for_one_that_another_service_checks(oauth: Calls) -> None:
    tokens = oauth.tokens()

    answer = oauth.exchange(tokens.access)
    body = answer.json()

    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert set(body) == {"access_token", "token_type", "expires_in", "issued_token_type"}
    assert (body["token_type"], body["issued_token_type"]) == ("Bearer", ACCESS_TOKEN)
    assert body["expires_in"] in {299, 300}
    header = jwt.get_unverified_header(body["access_token"])
    keys = jwt.PyJWKSet.from_dict(oauth.http.get("/.well-known/jwks.json").json())
    claims = jwt.decode(
        body["access_token"],
        keys[header["kid"]].key,
        algorithms=["ES256"],
        audience=BILLING,
        issuer=oauth.server.url,
    )
    assert header["typ"] == "at+jwt"
    assert (claims["sub"], claims["sid"]) == (tokens.subject, tokens.session)
    assert (claims["client_id"], claims["use"]) == (DEFAULT, "exchanged")
    assert claims["exp"] - claims["iat"] == 300


def test_the_type_that_is_asked_for_is_named(oauth: Calls) -> None:
    token = oauth.tokens(format="jwt").access

    answer = oauth.exchange(token, more={"subject_token_type": JWT_TYPE, "requested_token_type": JWT_TYPE})

    assert answer.json()["issued_token_type"] == JWT_TYPE


def test_an_exchanged_token_opens_nothing_here(oauth: Calls) -> None:
    tokens = oauth.tokens()
    child = exchanged(oauth, tokens.access)

    assert oauth.state(child) == "wrong_token_kind"
    for method, path in (("DELETE", "/v1/session"), ("GET", "/v1/verify"), ("GET", "/v1/sessions?subject=x")):
        assert oauth.http.request(method, path, headers=bearer(child)).status_code == 401
    for cookie in ("sid", "accessToken", "pocketpaw_session"):
        assert oauth.http.get("/v1/session", headers={"Cookie": f"{cookie}={child}"}).status_code == 401
    me = oauth.http.get("/api/v1/users/me", headers={**CLIENT, "x-stack-access-token": child})
    assert me.status_code == 401
    assert oauth.http.post("/v1/session/refresh", json={"refresh_token": child}).status_code == 401
    assert_error(oauth.refresh(child), 400, "invalid_grant")
    assert_error(oauth.exchange(child), 400, "invalid_request", "wrong_token_kind")
    oauth.revoke(child)
    oauth.revoke(child, oauth.server.authorization)
    assert oauth.state(tokens.access) == "live"


def test_an_exchanged_token_is_introspected_with_its_audience_and_dies_with_its_session(oauth: Calls) -> None:
    tokens = oauth.tokens()
    child = exchanged(oauth, tokens.access)

    told = oauth.introspect(child).json()
    oauth.http.delete("/v1/session", headers=bearer(tokens.access))

    assert (told["active"], told["aud"], told["sid"]) == (True, BILLING, tokens.session)
    assert "aud" not in oauth.introspect(oauth.tokens().access).json()
    assert not oauth.active(child)


def test_an_exchanged_token_that_was_changed_is_inactive(oauth: Calls) -> None:
    head, payload, signature = exchanged(oauth, oauth.tokens().access).split(".")

    for at in (0, len(signature) // 2):
        other = "A" if signature[at] != "A" else "B"
        assert not oauth.active(f"{head}.{payload}.{signature[:at]}{other}{signature[at + 1 :]}")


def test_only_access_tokens_of_the_clients_project_are_exchanged(oauth: Calls) -> None:
    project, key = another_project(oauth.server)
    kinds = oauth.every_kind()
    for kind in ACCESS:
        assert exchanged(oauth, kinds[kind]), kind
    for kind in (*REFRESH, *NOBODYS):
        assert_error(oauth.exchange(kinds[kind]), 400, "invalid_request")

    theirs = oauth.tokens(key).access

    assert_error(oauth.exchange(theirs), 400, "invalid_request", "invalid_token")
    assert_error(oauth.exchange(kinds["access"], bearer(key)), 400, "invalid_request", "invalid_token")
    child = oauth.exchange(theirs, bearer(key)).json()["access_token"]
    assert jwt.decode(child, options={"verify_signature": False})["client_id"] == project
    assert not oauth.active(child)


def test_what_has_ended_or_was_replaced_is_not_exchanged(oauth: Calls) -> None:
    ended, replaced = oauth.tokens(), oauth.tokens()
    oauth.revoke(ended.refresh)
    oauth.refresh(replaced.refresh)

    assert_error(oauth.exchange(ended.access), 400, "invalid_request", "session_revoked")
    assert_error(oauth.exchange(replaced.access), 400, "invalid_request", "token_superseded")


def test_an_exchange_needs_a_server_key(oauth: Calls) -> None:
    token = oauth.tokens().access

    assert_error(oauth.exchange(token, {}), 401, "invalid_client", "credential_required")
    assert_error(oauth.exchange(token, bearer(token)), 403, "unauthorized_client", "server_key_required")


@pytest.mark.parametrize(
    ("form", "error", "code"),
    [
        ({"subject_token": ""}, "invalid_request", "invalid_body"),
        ({"subject_token_type": ""}, "invalid_request", "invalid_body"),
        ({"subject_token_type": "access_token"}, "invalid_request", "invalid_body"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request", "invalid_body"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request", None),
        ({"actor_token": "x", "actor_token_type": ACCESS_TOKEN}, "invalid_request", "invalid_body"),
        ({"audience": ""}, "invalid_request", "invalid_body"),
        ({"audience": DEFAULT}, "invalid_target", "invalid_audience"),
        ({"audience": DEFAULT.upper()}, "invalid_target", "invalid_audience"),
        ({"audience": f"{DEFAULT}:anon"}, "invalid_target", "invalid_audience"),
        ({"audience": "a b"}, "invalid_target", "invalid_audience"),
        ({"audience": "\u00e4"}, "invalid_target", "invalid_audience"),
        ({"audience": "x" * 257}, "invalid_target", "invalid_audience"),
        ({"resource": "https://billing.example/"}, "invalid_target", None),
        ({"scope": "admin"}, "invalid_scope", None),
    ],
)
def test_what_would_not_be_narrower_is_refused(
    oauth: Calls, form: dict[str, str], error: str, code: str | None
) -> None:
    assert_error(oauth.exchange(oauth.tokens().access, more=form), 400, error, code)


def test_the_longest_names_fit_into_a_token(oauth: Calls) -> None:
    tokens = oauth.tokens(subject="\U0001f600" * 64)

    assert oauth.exchange(tokens.access, more={"audience": '"' * 256}).status_code == 200
