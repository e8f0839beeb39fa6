"""Introspection, revocation and metadata over TCP against a real server: RFC 7662, RFC 7009, RFC 8414."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote_plus

import httpx
import jwt
import pytest

from sessiond.domain.errors import InvalidRequest
from sessiond.http.dialects.oauth.errors import ErrorAnswer, refuse
from tests.dialects.oauth_calls import (
    ACCESS,
    DEFAULT,
    EXCHANGE,
    NOBODYS,
    REFRESH,
    Calls,
    assert_error,
    bearer,
)
from tests.dialects.stack_calls import Stack
from tests.server_process import ServerProcess

ENDPOINTS = ("/oauth/introspect", "/oauth/revoke", "/oauth/token")


@pytest.fixture(scope="module")
def kinds(server: ServerProcess) -> dict[str, str]:
    """A token of every kind that no test ends."""
    with httpx.Client(base_url=server.url) as http:
        return Calls(http, server).every_kind()


def basic(client: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{client}:{secret}".encode()).decode()}


# -- introspection ----------------------------------------------------------------------------------------------------


def test_a_live_access_token_is_introspected(oauth: Calls) -> None:
    tokens = oauth.tokens()
    session = oauth.http.get("/v1/session", headers=bearer(tokens.access)).json()["session"]

    answer = oauth.introspect(tokens.access)
    told = answer.json()

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(told) == {"active", "sub", "sid", "client_id", "token_type", "iat", "exp", "auth_time"}
    assert told["active"] is True
    assert (told["sub"], told["sid"]) == (tokens.subject, session["id"])
    assert (told["client_id"], told["token_type"]) == (DEFAULT, "Bearer")
    assert told["iat"] == told["auth_time"]
    assert abs(told["exp"] - told["iat"] - 600) <= 60  # two readings of the clock


def test_a_jwt_is_introspected_with_its_own_claims(oauth: Calls) -> None:
    token = oauth.tokens(format="jwt").access
    claims = jwt.decode(token, options={"verify_signature": False})

    told = oauth.introspect(token).json()

    for name in ("sub", "sid", "client_id", "iat", "exp", "jti"):
        assert told[name] == claims[name]


def test_how_and_when_the_subject_signed_in_is_told(oauth: Calls) -> None:
    tokens = oauth.tokens(acr="aal2", amr=["pwd", "otp"], authenticated_at="2026-01-01T00:00:00Z")

    told = oauth.introspect(tokens.access).json()

    assert (told["acr"], told["amr"]) == ("aal2", ["pwd", "otp"])
    assert told["auth_time"] == 1_767_225_600


def test_who_acts_for_the_subject_is_told_also_to_another_service(oauth: Calls) -> None:
    stack = Stack(oauth.http)
    token = stack.session(stack.user(), is_impersonation=True).access

    told = oauth.introspect(token).json()

    assert told["act"] == {"sub": "seeded"}
    child = oauth.exchange(token).json()["access_token"]
    assert oauth.introspect(child).json()["act"] == {"sub": "seeded"}


def test_the_previous_access_token_has_no_date_of_issue(oauth: Calls) -> None:
    tokens = oauth.tokens()
    assert oauth.refresh(tokens.refresh).status_code == 200

    told = oauth.introspect(tokens.access).json()

    assert told["active"] is True
    assert "iat" not in told


def test_the_access_tokens_of_every_api_are_active_and_nothing_else_is(
    oauth: Calls, kinds: dict[str, str]
) -> None:
    told = {kind: oauth.active(text) for kind, text in kinds.items()}

    assert told == dict.fromkeys(ACCESS, True) | dict.fromkeys((*REFRESH, *NOBODYS), False)


def test_what_has_ended_is_inactive_and_no_more_is_said(oauth: Calls) -> None:
    revoked, signed_out, superseded = oauth.tokens(), oauth.tokens(format="jwt"), oauth.tokens()
    oauth.http.delete(f"/v1/sessions/{revoked.session}", headers=oauth.server.authorization)
    oauth.http.delete("/v1/session", headers=bearer(signed_out.access))
    second = oauth.refresh(superseded.refresh).json()
    third = oauth.refresh(second["refresh_token"]).json()

    assert not oauth.active(revoked.access)
    assert not oauth.active(signed_out.access)
    assert not oauth.active(superseded.access)
    assert oauth.active(third["access_token"])


def test_another_projects_token_is_inactive(oauth: Calls, other_project: tuple[str, str]) -> None:
    project, key = other_project
    ours, theirs = oauth.tokens(), oauth.tokens(key)

    assert not oauth.active(theirs.access)
    assert not oauth.active(ours.access, key)
    assert oauth.introspect(theirs.access, key).json()["client_id"] == project


def test_the_operator_introspects_for_the_project_that_is_named(
    oauth: Calls, other_project: tuple[str, str]
) -> None:
    project, key = other_project
    token, master = oauth.tokens(key).access, bearer(oauth.server.master_token)

    def told(headers: dict[str, str]) -> bool:
        answer = oauth.http.post("/oauth/introspect", headers=headers, data={"token": token})
        return answer.json()["active"] is True

    assert told(master | {"Sessiond-Project": project})
    assert not told(master)
    assert told(basic(project, oauth.server.master_token))


def test_introspection_takes_a_clients_authentication(oauth: Calls, other_project: tuple[str, str]) -> None:
    project, key = other_project
    form = {"token": oauth.tokens(key).access}

    for headers in (bearer(key), basic(project, key), basic(quote_plus(project), quote_plus(key))):
        answer = oauth.http.post("/oauth/introspect", headers=headers, data=form)
        assert answer.json()["active"] is True


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_client_that_authenticates_must_pass(
    oauth: Calls, other_project: tuple[str, str], path: str
) -> None:
    project, key = other_project
    form = {"token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
    for headers in (
        basic(project, "wrong-key"),
        basic(project, oauth.server.server_key),
        basic(DEFAULT, key),
        basic("default", oauth.server.server_key),
        basic("", key),
        {"Authorization": "Basic " + b64encode(key.encode()).decode()},
        {"Authorization": "Basic " + b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Basic " + b64encode(b"a:%ff").decode()},
        {"Authorization": "Basic ?"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic " + "A" * 9000},
    ):
        answer = oauth.http.post(path, headers=headers, data=form)
        assert_error(answer, 401, "invalid_client", "invalid_token")
        assert answer.headers["www-authenticate"] == 'Basic realm="sessiond", charset="UTF-8"'
    for headers in (
        bearer("wrong-key"),
        bearer(oauth.tokens().refresh),
        {"Authorization": "Bearer"},
        {"Authorization": "Digest x"},
    ):
        answer = oauth.http.post(path, headers=headers, data=form)
        assert_error(answer, 401, "invalid_client")
        assert answer.headers["www-authenticate"] == 'Bearer realm="sessiond"'


def test_introspection_without_credentials_is_refused(oauth: Calls) -> None:
    token = oauth.tokens().access

    assert_error(
        oauth.http.post("/oauth/introspect", data={"token": token}),
        401,
        "invalid_client",
        "credential_required",
    )
    assert_error(
        oauth.http.post("/oauth/introspect", headers=bearer(token), data={"token": token}),
        403,
        "unauthorized_client",
        "server_key_required",
    )


# -- revocation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authenticated", [True, False])
def test_any_token_of_a_session_ends_it_but_the_operators(oauth: Calls, authenticated: bool) -> None:
    kinds, stack = oauth.every_kind(), Stack(oauth.http)
    key = oauth.server.authorization if authenticated else None

    for kind in REFRESH:
        access = kinds[f"{kind.removesuffix('refresh')}access"]
        oauth.revoke(kinds[kind], key)
        assert not oauth.active(access), kind
    for kind in ("jwt", "cookie", "device", "stack anonymous access"):
        oauth.revoke(kinds[kind], key)
        assert not oauth.active(kinds[kind]), kind
    tokens = oauth.tokens()
    oauth.revoke(tokens.access, key)
    assert oauth.state(tokens.access) == "session_revoked"
    assert stack.refresh(kinds["stack refresh"]).status_code == 401
    for kind in NOBODYS:
        oauth.revoke(kinds[kind], key)
    assert oauth.state(kinds["operator"]) == "live"
    assert oauth.active(oauth.tokens().access)


def test_a_revoke_says_who_asked(oauth: Calls) -> None:
    own, managed = oauth.tokens(), oauth.tokens()

    oauth.revoke(own.refresh)
    oauth.revoke(managed.refresh, oauth.server.authorization)
    oauth.revoke(managed.refresh)

    for tokens, reason in ((own, "signed_out"), (managed, "revoked")):
        assert oauth.http.get("/v1/session", headers=bearer(tokens.access)).json()["reason"] == reason


def test_another_clients_token_is_revoked_without_effect(
    oauth: Calls, other_project: tuple[str, str]
) -> None:
    project, key = other_project
    tokens = oauth.tokens()

    for text in (tokens.access, tokens.refresh):
        oauth.revoke(text, bearer(key))
        oauth.revoke(text, basic(project, key))

    assert oauth.state(tokens.access) == "live"


def test_the_hint_is_never_wrong(oauth: Calls) -> None:
    for hint in ("access_token", "refresh_token", "", "saml", "ä"):
        tokens = oauth.tokens()
        oauth.revoke(tokens.refresh, token_type_hint=hint, more="ignored")
        assert oauth.state(tokens.access) == "session_revoked"


def test_a_superseded_refresh_token_still_ends_its_session(oauth: Calls) -> None:
    first = oauth.tokens()
    second = oauth.refresh(first.refresh).json()
    third = oauth.refresh(second["refresh_token"]).json()

    oauth.revoke(first.refresh)

    assert oauth.state(third["access_token"]) == "session_revoked"


# -- metadata ---------------------------------------------------------------------------------------------------------


def test_the_metadata_names_what_exists(oauth: Calls) -> None:
    url = oauth.server.url
    answer = oauth.http.get("/.well-known/oauth-authorization-server")
    told = answer.json()
    issued = jwt.decode(oauth.tokens(format="jwt").access, options={"verify_signature": False})

    assert answer.headers["cache-control"] == "public, max-age=300"
    assert told["issuer"] == url == issued["iss"]
    for name, path in (("token", "token"), ("introspection", "introspect"), ("revocation", "revoke")):
        assert told[f"{name}_endpoint"] == f"{url}/oauth/{path}"
        assert oauth.http.post(told[f"{name}_endpoint"]).status_code in {400, 401}
    assert oauth.http.get(told["jwks_uri"]).json()["keys"]
    assert oauth.http.get(told["service_documentation"]).status_code == 200
    assert told["grant_types_supported"] == ["refresh_token", EXCHANGE]
    assert told["response_types_supported"] == []
    assert told["token_endpoint_auth_methods_supported"] == ["none", "client_secret_basic"]
    assert told["revocation_endpoint_auth_methods_supported"] == ["none", "client_secret_basic"]
    assert told["introspection_endpoint_auth_methods_supported"] == ["client_secret_basic", "Bearer"]


# -- the shape of refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_the_endpoints_take_post_only(oauth: Calls, path: str, method: str) -> None:
    answer = oauth.http.request(method, path, headers=oauth.server.authorization)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert_error(answer, 405, "invalid_request", "method_not_allowed")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("content_type", "body", "refused"),
    [
        ("application/json", '{"token": "x"}', (415, "unsupported_media_type")),
        ("text/plain", "token=x", (415, "unsupported_media_type")),
        ("multipart/form-data; boundary=x", "token=x", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded; charset=latin-1", "token=x", (415, "unsupported_media_type")),
        (None, "token=x", (415, "unsupported_media_type")),
        ("application/x-www-form-urlencoded", "", (400, "empty_body")),
        ("application/x-www-form-urlencoded", "token=&grant_type=", (400, "invalid_body")),
        ("application/x-www-form-urlencoded", "tokens=x", (400, "invalid_body")),
        ("application/x-www-form-urlencoded", "token=x&token=x", (400, "malformed_body")),
        ("application/x-www-form-urlencoded", "token=x&%74oken=y&grant_type=a", (400, "malformed_body")),
        ("application/x-www-form-urlencoded", "token=x&more=1&more=2", (400, "malformed_body")),
        ("application/x-www-form-urlencoded", "token=%ff", (400, "malformed_body")),
        (
            "application/x-www-form-urlencoded",
            "&".join(f"m{n}=" for n in range(200)),
            (400, "malformed_body"),
        ),
        ("application/x-www-form-urlencoded", "token=" + "x" * 70_000, (413, "body_too_large")),
    ],
)
def test_a_body_that_is_no_single_valued_form_is_refused(
    oauth: Calls, path: str, content_type: str | None, body: str, refused: tuple[int, str]
) -> None:
    status, code = refused
    headers = oauth.server.authorization | ({} if content_type is None else {"Content-Type": content_type})

    answer = oauth.http.post(path, headers=headers, content=body.encode())

    assert_error(answer, status, "invalid_request", code)


def test_a_token_in_the_url_is_ignored(oauth: Calls) -> None:
    tokens = oauth.tokens()
    query = {"token": tokens.access, "grant_type": "refresh_token", "refresh_token": tokens.refresh}

    for path in ENDPOINTS:
        answer = oauth.http.post(path, headers=oauth.server.authorization, params=query)
        assert_error(answer, 400, "invalid_request", "empty_body")
    assert oauth.state(tokens.access) == "live"


def test_an_unknown_path_is_refused_in_the_same_shape(oauth: Calls) -> None:
    assert_error(oauth.http.post("/oauth/authorize"), 404, "invalid_request", "unknown_path")


def test_a_description_holds_only_what_rfc_6749_lets_it() -> None:
    answer = refuse(InvalidRequest("odd", 'a "b" \\ \u00e4\n'), None)

    assert isinstance(answer.body, ErrorAnswer)
    assert answer.body.error_description == "a 'b' ' ''"
