"""Creating sessions over TCP: limits, client, metadata, assurance, and retries with an `Idempotency-Key`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dialects.native_calls import a_subject, assert_problem, bearer, created
from tests.server_process import ServerProcess


def life(session: dict[str, str]) -> timedelta:
    return datetime.fromisoformat(session["expires_at"]) - datetime.fromisoformat(session["created_at"])


def retried(http: httpx.Client, server: ServerProcess, key: str, body: dict[str, Any]) -> httpx.Response:
    return http.post("/v1/sessions", headers=server.authorization | {"Idempotency-Key": key}, json=body)


def test_a_session_has_the_limits_that_are_asked_for(http: httpx.Client, server: ServerProcess) -> None:
    session = created(http, server, absolute_timeout_seconds=3600, idle_timeout_seconds=300).json()["session"]

    assert life(session) == timedelta(hours=1)
    assert session["idle_timeout_seconds"] == 300


def test_no_limit_passes_the_policys(tmp_path: Path) -> None:
    policy = {"SESSIOND_POLICY_PRESET": "aal2"}
    with (
        ServerProcess.started(tmp_path, settings=policy) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        session = created(http, server, absolute_timeout_seconds=10**8, idle_timeout_seconds=10**8).json()[
            "session"
        ]

    assert life(session) == timedelta(hours=24)
    assert session["idle_timeout_seconds"] == 3600


def test_the_client_is_whom_the_backend_saw(http: httpx.Client, server: ServerProcess) -> None:
    agent = "Mozilla/5.0 \x07" + "x" * 600
    client = {"name": "Käthes Tablet", "address": "2001:DB8:0::1", "user_agent": agent}

    shown = created(http, server, client=client).json()["session"]["client"]

    assert shown["name"] == "Käthes Tablet"
    assert shown["address"] == "2001:db8::1"
    assert shown["user_agent"] == ("Mozilla/5.0 \N{REPLACEMENT CHARACTER}" + "x" * 600)[:512]
    assert created(http, server, client={}).json()["session"]["client"] == {
        "name": None,
        "address": None,
        "user_agent": None,
    }


def test_metadata_and_assurance_are_kept_and_shown(http: httpx.Client, server: ServerProcess) -> None:
    metadata = {"plan": "pro", "seats": [1, 2.5, None, {"x": True}], "ünï": "\0"}
    body = created(
        http,
        server,
        metadata=metadata,
        acr="urn:example:gold",
        amr=["pwd", "otp"],
        authenticated_at="2026-01-02T03:04:05+01:00",
    ).json()

    shown = http.get("/v1/session", headers=bearer(body["access_token"])).json()["session"]

    assert shown == body["session"]
    assert shown["metadata"] == metadata
    assert (shown["acr"], shown["amr"]) == ("urn:example:gold", ["pwd", "otp"])
    assert shown["authenticated_at"] == "2026-01-02T02:04:05.000Z"


@pytest.mark.parametrize(
    ("members", "kind", "has_tokens"),
    [
        ({}, "tokens", True),
        ({"kind": "tokens"}, "tokens", True),
        ({"kind": "tokens", "delivery": "tokens"}, "tokens", True),
        ({"kind": "browser"}, "browser", False),
        ({"delivery": "cookie"}, "browser", False),
        ({"kind": "browser", "delivery": "cookie", "remember": False}, "browser", False),
    ],
)
def test_a_kind_says_how_the_session_is_delivered(
    http: httpx.Client, server: ServerProcess, members: dict[str, object], kind: str, *, has_tokens: bool
) -> None:
    answer = created(http, server, **members)

    assert answer.json()["session"]["kind"] == kind
    assert ("access_token" in answer.json(), "set-cookie" in answer.headers) == (has_tokens, not has_tokens)


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"kind": "browser", "delivery": "tokens"}, "/kind"),
        ({"kind": "tokens", "delivery": "cookie"}, "/kind"),
        ({"kind": "tokens", "remember": True}, "/remember"),
        ({"kind": "device"}, "/kind"),
        ({"kind": "operator"}, "/kind"),
    ],
)
def test_a_kind_that_cannot_be_delivered_is_refused(
    http: httpx.Client, server: ServerProcess, members: dict[str, object], pointer: str
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": "alice"} | members)

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_clock_that_is_a_little_ahead_means_now(http: httpx.Client, server: ServerProcess) -> None:
    ahead = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()

    session = created(http, server, authenticated_at=ahead).json()["session"]

    assert session["authenticated_at"] <= session["created_at"]


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"absolute_timeout_seconds": 0}, "/absolute_timeout_seconds"),
        ({"absolute_timeout_seconds": 1.5}, "/absolute_timeout_seconds"),
        ({"idle_timeout_seconds": 10**30}, "/idle_timeout_seconds"),
        ({"client": {"address": "localhost"}}, "/client/address"),
        ({"client": {"address": "fe80::1%eth0"}}, "/client/address"),
        ({"client": {"name": "a\nb"}}, "/client/name"),
        ({"client": {"name": ""}}, "/client/name"),
        ({"client": {"ip": "::1"}}, "/client/ip"),
        ({"metadata": {"x": "y" * 4096}}, "/metadata"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": None}, "/metadata"),
        ({"acr": ""}, "/acr"),
        ({"acr": "a\x1bb"}, "/acr"),
        ({"amr": ["pwd", "a\tb"]}, "/amr/1"),
        ({"amr": ["x"] * 17}, "/amr"),
        ({"authenticated_at": "yesterday"}, "/authenticated_at"),
        ({"authenticated_at": "2026-01-02T03:04:05"}, "/authenticated_at"),
        ({"authenticated_at": "9998-01-01T00:00:00Z"}, "/authenticated_at"),
        ({"authenticated_at": "0001-01-01T00:00:00+14:00"}, "/authenticated_at"),
    ],
)
def test_what_cannot_be_is_refused_with_its_member(
    http: httpx.Client, server: ServerProcess, members: dict[str, object], pointer: str
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": "alice"} | members)

    assert_problem(answer, 400, "invalid_body")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_metadata_of_4_kib_is_kept_and_one_that_is_nested_too_deep_is_not(
    http: httpx.Client, server: ServerProcess
) -> None:
    full = {"x": "y" * (4096 - len('{"x":""}'))}
    deep: object = "x"
    for _ in range(16):
        deep = [deep]

    refused = http.post(
        "/v1/sessions", headers=server.authorization, json={"subject": "alice", "metadata": {"x": deep}}
    )

    assert created(http, server, metadata=full).json()["session"]["metadata"] == full
    assert_problem(refused, 400, "invalid_body")


def test_all_faults_are_told_at_once(http: httpx.Client, server: ServerProcess) -> None:
    body: dict[str, Any] = {
        "subject": "alice",
        "acr": "a\nb",
        "authenticated_at": "x",
        "client": {"address": "y"},
    }
    answer = http.post(
        "/v1/sessions",
        headers=server.authorization,
        json=body,
    )

    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/acr", "/authenticated_at", "/client/address"}


def test_a_retry_with_its_key_gets_the_same_session_and_refresh_token(
    http: httpx.Client, server: ServerProcess
) -> None:
    key = str(uuid.uuid4())
    body: dict[str, Any] = {"subject": a_subject(), "metadata": {"a": 1, "b": 2}}

    first = retried(http, server, key, body)
    again = retried(http, server, key, {"metadata": {"b": 2, "a": 1}, "subject": body["subject"]})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["session"]["id"] == first.json()["session"]["id"]
    assert again.json()["refresh_token"] == first.json()["refresh_token"]
    assert again.headers["location"] == first.headers["location"]
    listed = http.get("/v1/sessions", params={"subject": body["subject"]}, headers=server.authorization)
    assert len(listed.json()["items"]) == 1


def test_sixteen_retries_at_once_make_one_session(server: ServerProcess) -> None:
    key, body = str(uuid.uuid4()), {"subject": a_subject()}

    def create(_: int) -> tuple[int, str]:
        answer = httpx.post(
            f"{server.url}/v1/sessions", headers=server.authorization | {"Idempotency-Key": key}, json=body
        )
        return answer.status_code, str(answer.json()["session"]["id"])

    with ThreadPoolExecutor(16) as pool:
        answers = set(pool.map(create, range(16)))

    assert len(answers) == 1
    assert answers.pop()[0] == 201


def test_a_cookie_is_set_again_on_a_retry(http: httpx.Client, server: ServerProcess) -> None:
    key, body = str(uuid.uuid4()), {"subject": a_subject(), "delivery": "cookie"}

    first, again = retried(http, server, key, body), retried(http, server, key, body)

    assert first.headers["set-cookie"].split(";")[0] == again.headers["set-cookie"].split(";")[0]


@pytest.mark.parametrize("change", [{"subject": "somebody-else"}, {"format": "jwt"}, {"metadata": {"x": 1}}])
def test_a_key_of_another_request_is_refused(
    http: httpx.Client, server: ServerProcess, change: dict[str, object]
) -> None:
    key, body = str(uuid.uuid4()), {"subject": a_subject()}
    retried(http, server, key, body)

    assert_problem(retried(http, server, key, body | change), 422, "idempotency_key_reused")


def test_once_refreshed_or_ended_the_first_answer_is_gone(http: httpx.Client, server: ServerProcess) -> None:
    rotated_key, ended_key = str(uuid.uuid4()), str(uuid.uuid4())
    body = {"subject": a_subject()}
    rotated = retried(http, server, rotated_key, body).json()
    ended = retried(http, server, ended_key, body).json()
    http.post("/v1/session/refresh", json={"refresh_token": rotated["refresh_token"]})
    http.delete(f"/v1/sessions/{ended['session']['id']}", headers=server.authorization)

    for key in (rotated_key, ended_key):
        assert_problem(retried(http, server, key, body), 409, "replay_superseded")


def test_two_projects_have_keys_of_their_own(http: httpx.Client, server: ServerProcess) -> None:
    name, key, body = a_subject(), str(uuid.uuid4()), {"subject": a_subject()}
    assert server.run("projects", "add", name).returncode == 0
    elsewhere = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": name}
    here = retried(http, server, key, body)

    there = http.post("/v1/sessions", headers=elsewhere | {"Idempotency-Key": key}, json=body)

    assert there.status_code == 201
    assert there.json()["session"]["id"] != here.json()["session"]["id"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(http: httpx.Client, server: ServerProcess, key: str) -> None:
    answer = retried(http, server, key, {"subject": "alice"})

    assert_problem(answer, 400, "invalid_idempotency_key")
