"""The native API over TCP against a real server: the fixed surface of `/v1`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import jwt

from tests.dialects.native_calls import a_subject, assert_problem, bearer, created, shown
from tests.server_process import ServerProcess


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


def test_signing_out_ends_the_session_at_once(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()

    assert http.delete("/v1/session", headers=bearer(body["access_token"])).status_code == 204

    assert_problem(shown(http, body["access_token"]), 401, "session_revoked")
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": body["refresh_token"]})
    assert_problem(refreshed, 401, "session_revoked")


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


def test_a_session_is_revoked_once_and_again(http: httpx.Client, server: ServerProcess) -> None:
    body = created(http, server).json()
    path = f"/v1/sessions/{body['session']['id']}"

    assert http.delete(path, headers=server.authorization).status_code == 204
    assert http.delete(path, headers=server.authorization).status_code == 204

    problem = shown(http, body["access_token"])
    assert_problem(problem, 401, "session_revoked")
    assert problem.json()["reason"] == "revoked"


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
