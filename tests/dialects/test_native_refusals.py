"""The native API over TCP against a real server: what the fixed surface of `/v1` refuses."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import assert_problem, bearer, created, shown
from tests.server_process import ServerProcess


def test_a_cookie_session_is_signed_out_from_our_own_pages_only(
    http: httpx.Client, server: ServerProcess
) -> None:
    cookie = created(http, server, delivery="cookie").headers["set-cookie"].split(";")[0]

    for foreign in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
        assert_problem(http.delete("/v1/session", headers={"Cookie": cookie} | foreign), 403, "cross_site")
    assert http.get("/v1/session", headers={"Cookie": cookie}).status_code == 200

    ended = http.delete("/v1/session", headers={"Cookie": cookie, "Origin": server.url})

    assert ended.status_code == 204
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert_problem(http.get("/v1/session", headers={"Cookie": cookie}), 401, "session_revoked")


def test_bearer_and_cookie_of_different_sessions_are_refused(
    http: httpx.Client, server: ServerProcess
) -> None:
    token = created(http, server).json()["access_token"]
    cookie = created(http, server, delivery="cookie").headers["set-cookie"].split(";")[0]

    answer = http.get("/v1/session", headers=bearer(token) | {"Cookie": cookie})

    assert_problem(answer, 400, "credentials_differ")


def test_two_cookies_of_one_name_are_refused(http: httpx.Client, server: ServerProcess) -> None:
    cookie = created(http, server, delivery="cookie").headers["set-cookie"].split(";")[0]

    answer = http.get("/v1/session", headers={"Cookie": f"{cookie}; {cookie}"})

    assert_problem(answer, 400, "repeated_cookie")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"{", "malformed_body"),
        (b'{"refresh_token": "a", "refresh_token": "b"}', "malformed_body"),
        (b"{}", "invalid_body"),
        (b'{"refresh_token": 5}', "invalid_body"),
        (b'{"refresh_token": "x", "scope": "admin"}', "invalid_body"),
        (b"[]", "invalid_body"),
    ],
)
def test_a_malformed_refresh_is_a_bad_request(http: httpx.Client, body: bytes, code: str) -> None:
    answer = http.post("/v1/session/refresh", content=body, headers={"Content-Type": "application/json"})

    assert_problem(answer, 400, code)


def test_a_refused_refresh_token_is_401(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()
    refresh_token = body["refresh_token"]
    changed = refresh_token[:-1] + ("A" if refresh_token[-1] != "A" else "B")

    for text in ("x", body["access_token"], changed, "sdr1_" + "A" * 86):
        assert http.post("/v1/session/refresh", json={"refresh_token": text}).status_code == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_refreshing_takes_post_only(http: httpx.Client, method: str) -> None:
    answer = http.request(method, "/v1/session/refresh")

    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "credential_required"),
        ({"Authorization": "Basic eDp5"}, "credential_required"),
        ({"Authorization": "Bearer"}, "invalid_token"),
        ({"Authorization": "Bearer " + "x" * 9000}, "invalid_token"),
        ({"Authorization": "Bearer sda1_short"}, "invalid_token"),
    ],
)
def test_without_a_good_credential_there_is_no_session(
    http: httpx.Client, headers: dict[str, str], code: str
) -> None:
    assert_problem(http.get("/v1/session", headers=headers), 401, code)


def test_keys_and_refresh_tokens_are_no_access_tokens(http: httpx.Client, server: ServerProcess) -> None:
    refresh = created(http, server).json()["refresh_token"]

    assert_problem(shown(http, refresh), 401, "wrong_token_kind")
    assert shown(http, server.server_key).status_code == 401
    assert shown(http, server.master_token).status_code == 401


def test_a_token_in_the_url_is_ignored(http: httpx.Client, server: ServerProcess) -> None:
    token = created(http, server).json()["access_token"]

    assert http.get("/v1/session", params={"access_token": token, "token": token}).status_code == 401


def test_managing_sessions_takes_a_server_key(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()
    own, identifier = bearer(body["access_token"]), body["session"]["id"]

    for method, path in [
        ("POST", "/v1/sessions"),
        ("GET", "/v1/sessions?subject=x"),
        ("DELETE", f"/v1/sessions/{identifier}"),
        ("DELETE", "/v1/subjects/x/sessions"),
    ]:
        assert_problem(http.request(method, path, headers=own), 403, "server_key_required")
        assert_problem(http.request(method, path), 401, "credential_required")
        assert_problem(http.request(method, path, headers=bearer("wrong-key")), 401, "invalid_token")
    assert shown(http, body["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({}, "/subject"),
        ({"subject": 5}, "/subject"),
        ({"subject": "a", "expires_at": "2099-01-01T00:00:00Z"}, ""),
        ({"subject": "a", "format": "saml"}, "/format"),
        ({"subject": ""}, "/subject"),
    ],
)
def test_a_create_of_a_wrong_shape_names_the_member(
    http: httpx.Client, server: ServerProcess, members: dict[str, object], pointer: str
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json=members)

    assert_problem(answer, 400, "invalid_body")
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


@pytest.mark.parametrize("subject", ["a\nb", "x" * 257, "\u0085"])
def test_a_subject_with_control_characters_or_too_long_is_refused(
    http: httpx.Client, server: ServerProcess, subject: str
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": subject})

    assert_problem(answer, 400, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/subject"]


def test_a_create_that_is_no_json_is_refused(http: httpx.Client, server: ServerProcess) -> None:
    form = http.post("/v1/sessions", headers=server.authorization, data={"subject": "a"})
    large = http.post("/v1/sessions", headers=server.authorization, json={"subject": "a" * 70_000})

    assert_problem(form, 415, "unsupported_media_type")
    assert_problem(large, 413, "body_too_large")


@pytest.mark.parametrize("query", ["subject=", "subject=a&limit=0", "subject=a&limit=101", "subject=a&x=1"])
def test_a_list_of_a_wrong_shape_is_refused(http: httpx.Client, server: ServerProcess, query: str) -> None:
    assert http.get(f"/v1/sessions?{query}", headers=server.authorization).status_code == 400


@pytest.mark.parametrize("identifier", ["x", "00000000-0000-7000-8000-000000000000", "%00"])
def test_an_unknown_session_is_not_found(http: httpx.Client, server: ServerProcess, identifier: str) -> None:
    answer = http.delete(f"/v1/sessions/{identifier}", headers=server.authorization)

    assert answer.status_code in {400, 404}


def test_an_unknown_path_is_a_problem(http: httpx.Client) -> None:
    assert_problem(http.get("/v1/nothing"), 404, "unknown_path")
