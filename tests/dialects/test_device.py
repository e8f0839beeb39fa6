"""The dialect of device identifiers over TCP against a real server: its document, and what was decided beyond it."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.dialects.device_calls import DAY, PATH, a_device, bearer, decoded, opened, session_of, token_of
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose address may bring more devices than this file does."""
    with ServerProcess.started(
        tmp_path_factory.mktemp("server"), settings={"SESSIOND_DEVICE_NEW_PER_HOUR": "10000"}
    ) as process:
        yield process


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose public access is off, and whose address may bring one device an hour."""
    settings = {"SESSIOND_PUBLIC_ACCESS": "off", "SESSIOND_DEVICE_NEW_PER_HOUR": "1"}
    with ServerProcess.started(tmp_path_factory.mktemp("closed"), settings=settings) as process:
        yield process


# -- the document -----------------------------------------------------------------------------------------------


def test_the_documented_request_gets_a_token(http: httpx.Client) -> None:
    answer = http.post(
        PATH,
        content='{"identifier": "device_unique_id_here"}',
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert token_of(answer).startswith("eyJ")


def test_the_token_is_the_documented_jwt(http: httpx.Client) -> None:
    header, claims = decoded(opened(http, a_device()))

    assert header == {"alg": "HS256", "typ": "JWT"}
    assert list(claims) == ["session", "sub", "iat", "exp", "jti", "iss", "aud", "sid", "gen"]
    assert claims["session"] == uuid.UUID(claims["sid"]).hex
    assert abs(claims["exp"] - claims["iat"] - 30 * DAY) <= 60  # two readings of the clock


def test_the_token_in_the_authorization_header_proves_the_session(http: httpx.Client) -> None:
    token = opened(http, a_device())

    answer = session_of(http, token)

    assert answer.status_code == 200
    session = answer.json()["session"]
    assert session["id"] == decoded(token)[1]["sid"]
    assert session["subject"] == decoded(token)[1]["sub"]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"identifier":null}',
        '{"identifier":7}',
        '{"identifier":["x"]}',
        '{"identifier":""}',
        '{"identifier":" \\t "}',
        '{"identifier":{}}',
        "[]",
        '"x"',
        "null",
    ],
)
def test_a_missing_or_unusable_identifier_is_a_400(http: httpx.Client, body: str) -> None:
    answer = http.post(PATH, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()) == (400, {"error": "identifier is required"})


@pytest.mark.parametrize(
    ("identifier", "why"),
    [
        ("a\nb", "identifier must not contain control characters"),
        ("a\x00", "identifier must not contain control characters"),
        ("x" * 257, "identifier must have at most 256 bytes"),
        ("é" * 129, "identifier must have at most 256 bytes"),
    ],
)
def test_control_characters_and_too_many_bytes_are_a_400(
    http: httpx.Client, identifier: str, why: str
) -> None:
    answer = http.post(PATH, json={"identifier": identifier})

    assert (answer.status_code, answer.json()) == (400, {"error": why})


def test_256_bytes_are_an_identifier_and_unknown_members_are_ignored(http: httpx.Client) -> None:
    answer = http.post(PATH, json={"identifier": "x" * 256, "model": "phone", "nested": {"a": [1]}})

    assert token_of(answer)


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"identifier":"a","identifier":"b"}', "application/json", 400),
        (b'{"identifier":"\\ud800"}', "application/json", 400),
        (b"", "application/json", 400),
        (b"", None, 400),
        (b"", "text/plain", 400),
        (b'{"identifier":"a"}', "text/plain", 415),
        (b'{"identifier":"a"}', None, 415),
        (b"identifier=a", "application/x-www-form-urlencoded", 415),
        (b'{"identifier":"' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_in_the_dialects_shape(
    http: httpx.Client, content: bytes, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = http.post(PATH, content=content, headers=headers)

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_a_405_that_says_which(http: httpx.Client, method: str) -> None:
    answer = http.request(method, PATH)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert list(answer.json()) == ["error"]


def test_a_trailing_slash_is_an_alias_and_another_path_is_a_404_in_the_dialects_shape(
    http: httpx.Client,
) -> None:
    assert token_of(http.post(PATH + "/", json={"identifier": a_device()}))
    answer = http.post(PATH + "/more", json={"identifier": a_device()})
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


# -- find or create ---------------------------------------------------------------------------------------------


def test_the_same_identifier_gets_the_same_session_and_a_fresh_token(http: httpx.Client) -> None:
    device = a_device()

    first, second = opened(http, device), opened(http, device)

    assert first != second
    assert decoded(first)[1]["session"] == decoded(second)[1]["session"]
    assert decoded(first)[1]["exp"] == decoded(second)[1]["exp"]
    assert session_of(http, first).status_code == session_of(http, second).status_code == 200


def test_another_identifier_gets_another_session(http: httpx.Client) -> None:
    device = a_device()

    sessions = {decoded(opened(http, each))[1]["session"] for each in (device, device.upper(), device + " ")}

    assert len(sessions) == 3


def test_64_calls_at_once_with_one_new_identifier_give_one_session(server: ServerProcess) -> None:
    device = a_device()

    def call(_: int) -> httpx.Response:
        return httpx.post(server.url + PATH, json={"identifier": device})

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(call, range(64)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({decoded(token_of(answer))[1]["session"] for answer in answers}) == 1


def test_a_session_that_was_revoked_is_over_and_the_next_call_opens_another(
    http: httpx.Client, server: ServerProcess
) -> None:
    device = a_device()
    token = opened(http, device)
    sid = decoded(token)[1]["sid"]

    assert http.delete(f"/v1/sessions/{sid}", headers=server.authorization).status_code == 204

    assert session_of(http, token).status_code == 401
    again = opened(http, device)
    assert decoded(again)[1]["sid"] != sid
    assert decoded(again)[1]["sub"] == decoded(token)[1]["sub"]


def test_a_device_can_end_its_own_session(http: httpx.Client) -> None:
    token = opened(http, a_device())

    assert http.delete("/v1/session", headers=bearer(token)).status_code == 204

    assert session_of(http, token).status_code == 401


def test_the_session_is_listed_like_any_other(http: httpx.Client, server: ServerProcess) -> None:
    claims = decoded(opened(http, a_device()))[1]

    listed = http.get("/v1/sessions", params={"subject": claims["sub"]}, headers=server.authorization).json()

    assert [session["id"] for session in listed["items"]] == [claims["sid"]]


@pytest.mark.slow
def test_the_session_survives_a_restart(tmp_path: Path) -> None:
    with ServerProcess.started(tmp_path) as server, httpx.Client(base_url=server.url) as http:
        device = a_device()
        token = opened(http, device)
        server.kill()
        server.restart()

        assert session_of(http, token).status_code == 200
        assert decoded(opened(http, device))[1]["sid"] == decoded(token)[1]["sid"]


# -- what the token is good for ---------------------------------------------------------------------------------


def test_the_token_opens_nothing_but_its_own_session(http: httpx.Client) -> None:
    token = opened(http, a_device())

    assert http.post("/v1/sessions", json={"subject": "x"}, headers=bearer(token)).status_code == 403
    assert http.get("/v1/sessions", params={"subject": "x"}, headers=bearer(token)).status_code == 403
    assert http.post("/v1/session/refresh", json={"refresh_token": token}).status_code == 401
    assert http.post("/api/auth/session", headers=bearer(token)).status_code == 401


def test_a_changed_token_is_refused(http: httpx.Client) -> None:
    head, claims, tag = opened(http, a_device()).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")

    for forged in (
        f"{none}.{claims}.",
        f"{head}.{claims}.",
        f"{head}.{claims}.{tag[:-2]}AA",
        f"{head}.{claims}",
    ):
        assert session_of(http, forged).status_code == 401


# -- public access ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Bearer valid", "Bearer junk", "Basic YTpi", "eyJ.not.one", ""])
def test_while_open_an_authorization_header_is_ignored_valid_or_not(
    http: httpx.Client, server: ServerProcess, header: str
) -> None:
    value = f"Bearer {server.server_key}" if header == "Bearer valid" else header

    assert opened(http, a_device(), Authorization=value)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 401),
        ({"X-Forwarded-For": "192.0.2.1"}, 401),
        ({"Forwarded": "for=192.0.2.1"}, 401),
        ({"Via": "1.1 proxy"}, 401),
    ],
)
def test_while_open_foreign_pages_and_forgotten_proxies_are_refused(
    http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    answer = http.post(PATH, json={"identifier": a_device()}, headers=headers)

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]


def test_while_closed_a_server_key_is_demanded(closed: ServerProcess) -> None:
    body = {"identifier": a_device()}
    with httpx.Client(base_url=closed.url) as http:
        refused = [
            http.post(PATH, json=body),
            http.post(PATH, json=body, headers=bearer("junk")),
            http.post(PATH, json=body, headers={"Authorization": "Basic YTpi"}),
        ]
        assert [answer.status_code for answer in refused] == [401, 401, 401]
        assert all(list(answer.json()) == ["error"] for answer in refused)

        token = token_of(http.post(PATH, json=body, headers=closed.authorization))

        assert http.post(PATH, json=body, headers=bearer(token)).status_code == 403
        assert token_of(http.post(PATH, json=body, headers=bearer(closed.master_token)))


def test_an_application_with_a_server_key_is_not_limited(closed: ServerProcess) -> None:
    with httpx.Client(base_url=closed.url) as http:
        for _ in range(3):
            assert token_of(http.post(PATH, json={"identifier": a_device()}, headers=closed.authorization))
