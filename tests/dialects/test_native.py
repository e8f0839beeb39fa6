"""The native API over TCP against a real server: the fixed surface of `/v1`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import jwt
import pytest

from tests.server_process import ServerProcess


def a_subject() -> str:
    return f"user-{uuid.uuid4()}"


def created(http: httpx.Client, server: ServerProcess, **members: object) -> httpx.Response:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": a_subject()} | members)
    assert answer.status_code == 201, answer.text
    return answer


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def shown(http: httpx.Client, token: str) -> httpx.Response:
    return http.get("/v1/session", headers=bearer(token))


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["status"] == status


def test_a_session_is_created_with_opaque_tokens(http: httpx.Client, server: ServerProcess) -> None:
    answer = created(http, server, subject="alice")
    body = answer.json()

    assert body["session"]["subject"] == "alice"
    assert uuid.UUID(body["session"]["id"]).version == 7
    assert body["session"]["created_at"] < body["session"]["expires_at"]
    assert body["token_type"] == "Bearer"
    assert (body["access_token"][:5], len(body["access_token"])) == ("sda1_", 91)
    assert (body["refresh_token"][:5], len(body["refresh_token"])) == ("sdr1_", 91)
    assert body["expires_in"] == 600
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["location"] == f"/v1/sessions/{body['session']['id']}"


def test_the_access_token_shows_its_session(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()

    answer = shown(http, body["access_token"])

    assert answer.status_code == 200
    assert answer.json()["session"]["id"] == body["session"]["id"]
    assert answer.headers["cache-control"] == "no-store"


def test_an_access_token_may_be_a_jwt_of_rfc_9068(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server, format="jwt").json()
    token = body["access_token"]
    keys = jwt.PyJWKSet.from_dict(http.get("/.well-known/jwks.json").json())

    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]].key,
        algorithms=["ES256"],
        audience="00000000-0000-4000-8000-000000000001",
        issuer=server.url,
    )

    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims["sid"] == body["session"]["id"]
    assert claims["exp"] - claims["iat"] == body["expires_in"] == 600
    assert shown(http, token).status_code == 200
    renewed = http.post("/v1/session/refresh", json={"refresh_token": body["refresh_token"]}).json()
    assert renewed["access_token"].startswith("eyJ")


def test_a_session_delivered_as_a_cookie_has_no_token_in_its_body(
    http: httpx.Client, server: ServerProcess
) -> None:
    answer = created(http, server, delivery="cookie")
    cookie = answer.headers["set-cookie"]
    name, value = cookie.split(";")[0].split("=")

    assert set(answer.json()) == {"session"}
    assert (name, value[:5]) == ("sid", "sdb1_")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert value not in answer.text
    shows = http.get("/v1/session", headers={"Cookie": f"sid={value}"})
    assert shows.json()["session"]["id"] == answer.json()["session"]["id"]


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


def test_a_refresh_rotates_both_tokens(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()

    answer = http.post("/v1/session/refresh", json={"refresh_token": body["refresh_token"]})

    assert answer.status_code == 200
    assert set(answer.json()) == {
        "token_type",
        "access_token",
        "expires_in",
        "refresh_token",
        "refresh_after",
    }
    assert all(300 <= each["refresh_after"] <= 540 for each in (body, answer.json()))
    assert answer.json()["refresh_token"] != body["refresh_token"]
    assert shown(http, answer.json()["access_token"]).status_code == 200


def test_sixteen_parallel_refreshes_leave_one_lineage(server: ServerProcess) -> None:
    with httpx.Client(base_url=server.url) as http:
        token = created(http, server).json()["refresh_token"]

    def refresh(_: int) -> str:
        answer = httpx.post(f"{server.url}/v1/session/refresh", json={"refresh_token": token})
        assert answer.status_code == 200
        return str(answer.json()["refresh_token"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(refresh, range(16)))) == 1


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


def test_signing_out_ends_the_session_at_once(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()

    assert http.delete("/v1/session", headers=bearer(body["access_token"])).status_code == 204

    assert_problem(shown(http, body["access_token"]), 401, "session_revoked")
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": body["refresh_token"]})
    assert_problem(refreshed, 401, "session_revoked")


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


def test_a_subjects_sessions_are_listed_newest_first_in_pages(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject = a_subject()
    ids = [created(http, server, subject=subject).json()["session"]["id"] for _ in range(5)]
    listed: list[str] = []
    query: dict[str, str] = {"subject": subject, "limit": "2"}

    for _ in range(4):
        page = http.get("/v1/sessions", params=query, headers=server.authorization).json()
        listed += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]

    assert listed == ids[::-1]


@pytest.mark.parametrize("query", ["subject=", "subject=a&limit=0", "subject=a&limit=101", "subject=a&x=1"])
def test_a_list_of_a_wrong_shape_is_refused(http: httpx.Client, server: ServerProcess, query: str) -> None:
    assert http.get(f"/v1/sessions?{query}", headers=server.authorization).status_code == 400


def test_a_session_is_revoked_once_and_again(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()
    path = f"/v1/sessions/{body['session']['id']}"

    assert http.delete(path, headers=server.authorization).status_code == 204
    assert http.delete(path, headers=server.authorization).status_code == 204

    problem = shown(http, body["access_token"])
    assert_problem(problem, 401, "session_revoked")
    assert problem.json()["reason"] == "revoked"


@pytest.mark.parametrize("identifier", ["x", "00000000-0000-7000-8000-000000000000", "%00"])
def test_an_unknown_session_is_not_found(http: httpx.Client, server: ServerProcess, identifier: str) -> None:
    answer = http.delete(f"/v1/sessions/{identifier}", headers=server.authorization)

    assert answer.status_code in {400, 404}


def test_all_of_a_subjects_sessions_are_revoked_in_one_call(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject = "käthe/9"
    tokens = [created(http, server, subject=subject).json()["access_token"] for _ in range(3)]
    path = f"/v1/subjects/{quote(subject, safe='')}/sessions"

    assert http.delete(path, headers=server.authorization).status_code == 204

    for token in tokens:
        assert_problem(shown(http, token), 401, "subject_sessions_revoked")
    assert http.delete("/v1/subjects/nobody/sessions", headers=server.authorization).status_code == 204


def test_a_proxy_is_told_who_asks_in_headers(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server, subject="käthe").json()

    answer = http.get("/v1/verify", headers=bearer(body["access_token"]))

    assert answer.status_code == 200
    assert answer.headers["x-session-id"] == body["session"]["id"]
    assert answer.headers["x-session-subject"] == "k%C3%A4the"
    assert answer.content == b""
    assert http.get("/v1/verify").status_code == 401


def test_the_operator_manages_any_project(http: httpx.Client, server: ServerProcess) -> None:
    added = server.run("projects", "add", f"shop-{uuid.uuid4()}", "--json")
    assert added.returncode == 0, added.stderr
    name = httpx.Response(200, content=added.stdout).json()["name"]
    operator = bearer(server.master_token) | {"Sessiond-Project": name}

    body = http.post("/v1/sessions", headers=operator, json={"subject": "ann"}).json()

    assert shown(http, body["access_token"]).status_code == 200
    path = f"/v1/sessions/{body['session']['id']}"
    assert http.delete(path, headers=server.authorization).status_code == 404
    assert http.delete(path, headers=operator).status_code == 204


def test_health_and_readiness_are_answered(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json()["status"] == "ready"  # and on some engines what a write rests on


def test_the_jwks_holds_public_keys_only_and_may_be_cached(http: httpx.Client) -> None:
    answer = http.get("/.well-known/jwks.json")

    assert {frozenset(key) for key in answer.json()["keys"]} == {
        frozenset({"kty", "crv", "alg", "kid", "x", "y"})
    }
    assert answer.headers["cache-control"] == "public, max-age=300"


def test_a_client_that_has_the_jwks_is_told_so(http: httpx.Client) -> None:
    tag = http.get("/.well-known/jwks.json").headers["etag"]

    again = http.get("/.well-known/jwks.json", headers={"If-None-Match": f'"other", W/{tag}'})
    others = [
        http.get("/.well-known/jwks.json", headers={"If-None-Match": text})
        for text in ('"other"', tag.strip('"'), "", '"')
    ]

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["cache-control"] == "public, max-age=300"
    assert [another.status_code for another in others] == [200] * 4


def test_an_unknown_path_is_a_problem(http: httpx.Client) -> None:
    assert_problem(http.get("/v1/nothing"), 404, "unknown_path")
