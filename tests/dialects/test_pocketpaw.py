"""The PocketPaw dialect over TCP against a real server: every documented request and decision."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from sessiond.http.app import App
from sessiond.http.dialects.pocketpaw import dialect
from sessiond.http.edge import Edge
from tests.deployment import BASE_URL, MASTER_TOKEN, NOON, TestDeployment
from tests.server_process import ServerProcess

SESSION_TOKEN = re.compile(r"session:[1-9][0-9]{9}:[0-9a-f]{104}")


_ADDRESSES = itertools.count(2)


@pytest.fixture
def paw(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client with a loopback address of its own: exchanges are throttled by address."""
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{next(_ADDRESSES)}")
    with httpx.Client(base_url=server.url, transport=transport) as client:
        yield client


@pytest.fixture
def fresh_paw(fresh_server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of a server of its own: its master token may be replaced."""
    with httpx.Client(base_url=fresh_server.url) as client:
        yield client


def exchanged(paw: httpx.Client, token: str, path: str = "/api/auth/session") -> httpx.Response:
    return paw.post(path, headers={"Authorization": f"Bearer {token}"})


def shown(paw: httpx.Client, token: str) -> int:
    return paw.get("/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code


def test_the_master_token_is_exchanged_for_a_session_token(paw: httpx.Client, server: ServerProcess) -> None:
    answer = exchanged(paw, server.master_token)
    body = answer.json()

    assert answer.status_code == 200
    assert list(body) == ["session_token", "expires_in_hours"]
    assert SESSION_TOKEN.fullmatch(body["session_token"])
    assert body["expires_in_hours"] == 24
    assert abs(int(body["session_token"].split(":")[1]) - time.time() - 86_400) < 60
    assert answer.headers["cache-control"] == "no-store"
    assert shown(paw, body["session_token"]) == 200


def test_two_exchanges_give_two_sessions_that_end_alone(paw: httpx.Client, server: ServerProcess) -> None:
    first, second = (exchanged(paw, server.master_token).json()["session_token"] for _ in range(2))

    paw.post("/api/auth/logout", headers={"Cookie": f"pocketpaw_session={first}"})

    assert first != second
    assert (shown(paw, first), shown(paw, second)) == (401, 200)


def test_the_exchange_also_answers_under_api_v1_and_takes_any_case_of_bearer(
    paw: httpx.Client, server: ServerProcess
) -> None:
    answer = paw.post("/api/v1/auth/session/", headers={"Authorization": f"bEARER {server.master_token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization", [None, "Bearer wrong", "Bearer", "Basic x", "Bearer " + "x" * 9000, "Bearer h\xe9"]
)
def test_no_or_a_wrong_credential_is_unauthorized(paw: httpx.Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}

    answer = paw.post("/api/auth/session", headers=headers)

    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})


def test_a_valid_credential_that_is_not_the_master_opens_nothing(
    paw: httpx.Client, server: ServerProcess
) -> None:
    token = exchanged(paw, server.master_token).json()["session_token"]

    for other in (token, server.server_key):
        for path in ("/api/auth/session", "/api/token/regenerate"):
            answer = exchanged(paw, other, path)
            assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid master token"})
    cookie = paw.post("/api/auth/session", headers={"Cookie": f"pocketpaw_session={token}"})
    assert cookie.json() == {"detail": "Unauthorized"}


def test_the_exchange_takes_post_only(paw: httpx.Client) -> None:
    answer = paw.get("/api/auth/session")

    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["allow"] == "POST"


async def test_the_sixth_exchange_at_once_is_throttled() -> None:
    deployment, edge = await TestDeployment.born(), Edge()
    app = App([dialect(deployment.services, edge)], edge=edge, clock=deployment.clock)
    header = {"Authorization": f"Bearer {MASTER_TOKEN}"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE_URL) as client:
        answers = [await client.post("/api/auth/session", headers=header) for _ in range(6)]
        deployment.clock.advance(seconds=1)
        later = await client.post("/api/auth/session", headers=header)

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].json() == {"detail": "Too many requests"}
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].headers["x-ratelimit-limit"] == "5"
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert int(answers[-1].headers["x-ratelimit-reset"]) == NOON // 1000 + 2
    assert later.status_code == 200


def test_a_browser_signs_in_with_the_master_token_and_out_again(
    paw: httpx.Client, server: ServerProcess
) -> None:
    signed_in = paw.post("/api/auth/login", json={"token": server.master_token})
    cookie = signed_in.headers["set-cookie"]
    token = cookie.split(";")[0].partition("=")[2]

    assert signed_in.json() == {"ok": True}
    assert cookie.startswith("pocketpaw_session=session:")
    assert {"httponly", "max-age=86400", "path=/", "samesite=lax"} <= set(cookie.lower().split("; "))
    assert "secure" not in cookie.lower()
    assert paw.get("/v1/session", headers={"Cookie": f"pocketpaw_session={token}"}).status_code == 200

    signed_out = paw.post("/api/auth/logout", headers={"Cookie": f"pocketpaw_session={token}"})

    assert signed_out.json() == {"ok": True}
    assert "max-age=0" in signed_out.headers["set-cookie"].lower()
    assert shown(paw, token) == 401


def test_signing_out_without_a_session_is_no_error(paw: httpx.Client) -> None:
    assert paw.post("/api/auth/logout").json() == {"ok": True}


@pytest.mark.parametrize("token", ["wrong", "", "h\u00e9", "x" * 9000])
def test_a_wrong_access_token_is_refused(paw: httpx.Client, token: str) -> None:
    answer = paw.post("/api/auth/login", json={"token": token})

    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid access token"})
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("content", [b"{", b"", b'{"token": "a", "token": "b"}', b"\xff"])
def test_a_body_that_is_no_json_is_refused(paw: httpx.Client, content: bytes) -> None:
    answer = paw.post("/api/auth/login", content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid JSON body"})


@pytest.mark.parametrize("body", [{}, {"token": 5}, {"token": None}, []])
def test_a_body_of_a_wrong_shape_is_a_bad_request(paw: httpx.Client, body: object) -> None:
    answer = paw.post("/api/auth/login", json=body)

    assert answer.status_code == 400
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/logout"])
def test_another_site_can_neither_sign_a_browser_in_nor_out(
    paw: httpx.Client, server: ServerProcess, path: str, headers: dict[str, str]
) -> None:
    answer = paw.post(path, json={"token": server.master_token}, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_regenerating_ends_every_session_of_the_former_master_token(
    fresh_paw: httpx.Client, fresh_server: ServerProcess
) -> None:
    token = exchanged(fresh_paw, fresh_server.master_token).json()["session_token"]

    new = exchanged(fresh_paw, fresh_server.master_token, "/api/token/regenerate").json()["token"]

    assert shown(fresh_paw, token) == 401
    assert exchanged(fresh_paw, fresh_server.master_token).json() == {"detail": "Unauthorized"}
    assert exchanged(fresh_paw, new).status_code == 200
    kept = fresh_server.run("master-token", "show", "--json")
    assert new in kept.stdout


def test_rotating_on_the_command_line_counts_at_once(
    fresh_paw: httpx.Client, fresh_server: ServerProcess
) -> None:
    token = exchanged(fresh_paw, fresh_server.master_token).json()["session_token"]

    assert fresh_server.run("master-token", "rotate", "--json").returncode == 0

    assert shown(fresh_paw, token) == 401
    assert exchanged(fresh_paw, fresh_server.master_token).status_code == 401


def test_an_operator_session_manages_sessions_as_the_master_token_does(
    paw: httpx.Client, server: ServerProcess
) -> None:
    token = exchanged(paw, server.master_token).json()["session_token"]

    answer = paw.post("/v1/sessions", json={"subject": "ann"}, headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 201


def test_no_token_is_taken_from_the_url(paw: httpx.Client, server: ServerProcess) -> None:
    assert paw.post("/api/auth/session", params={"token": server.master_token}).status_code == 401
