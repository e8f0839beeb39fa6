"""Keys over the native API: listed without any secret, rotated without an end, refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from sessiond.domain.keys import KeyKind
from tests.dialects.native_calls import Holder, assert_problem, bearer
from tests.dialects.oauth_calls import another_project
from tests.server_process import ServerProcess

MEMBERS = {
    "kid",
    "kind",
    "audience",
    "state",
    "created_at",
    "activates_at",
    "activated_at",
    "retired_at",
    "compromised_at",
    "destroyed_at",
}
NONE_REFUSED = {"sessions": 0, "access_tokens": 0, "pins": 0, "vault_entries": 0, "complete": True}


@pytest.fixture(scope="module")
def operator(server: ServerProcess) -> dict[str, str]:
    return bearer(server.master_token)


@pytest.fixture
def fresh_http(fresh_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fresh_server.url) as client:
        yield client


def listed(http: httpx.Client, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = http.get("/v1/keys", headers=headers)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def one(http: httpx.Client, headers: dict[str, str], kind: str, state: str) -> str:
    return str(next(k["kid"] for k in listed(http, headers) if (k["kind"], k["state"]) == (kind, state)))


def test_a_projects_keys_are_listed_without_key_material(http: httpx.Client, server: ServerProcess) -> None:
    keys = listed(http, server.authorization)

    assert {frozenset(key) for key in keys} == {frozenset(MEMBERS)}
    usable = [key for key in keys if key["state"] in {"active", "pending"}]
    assert sorted((key["kind"], key["state"]) for key in usable) == sorted(
        [(kind, state) for kind in ("root", "vault") for state in ("active", "pending")]
        + [("signing", state) for state in ("active", "pending")] * 4
    )
    published = {key["kid"] for key in http.get("/.well-known/jwks.json").json()["keys"]}
    assert published >= {key["kid"] for key in usable if key["audience"] == "native"}


def test_each_project_sees_its_own_keys(http: httpx.Client, server: ServerProcess) -> None:
    _, key = another_project(server)

    ours, theirs = listed(http, server.authorization), listed(http, bearer(key))

    assert len(ours) == len(theirs)
    assert not {each["kid"] for each in ours} & {each["kid"] for each in theirs}


def test_an_application_lists_keys_and_changes_none(http: httpx.Client, server: ServerProcess) -> None:
    headers = server.authorization
    kid = one(http, headers, "root", "active")

    for answer in (
        http.post("/v1/keys/rotate", headers=headers, json={"kind": "root"}),
        http.post(f"/v1/keys/{kid}/compromise", headers=headers),
    ):
        assert_problem(answer, 403, "operator_required")
    holder = Holder(http, server)
    assert_problem(http.get("/v1/keys", headers=holder.headers), 403, "server_key_required")
    assert_problem(http.get("/v1/keys"), 401, "credential_required")


@pytest.mark.parametrize("kind", KeyKind)
def test_a_rotation_is_foreseen_without_being_done(
    http: httpx.Client, operator: dict[str, str], kind: KeyKind
) -> None:
    before = listed(http, operator)

    answer = http.post("/v1/keys/rotate", headers=operator, json={"kind": kind, "dry_run": True})

    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert answer.json()["refused"] == NONE_REFUSED
    assert {key["state"] for key in answer.json()["keys"]} == {"pending"}
    assert listed(http, operator) == before


@pytest.mark.parametrize("kind", KeyKind)
def test_a_rotation_of_a_new_server_waits_until_everybody_knows_the_successor(
    http: httpx.Client, operator: dict[str, str], kind: KeyKind
) -> None:
    first = http.post("/v1/keys/rotate", headers=operator, json={"kind": kind}).json()
    again = http.post("/v1/keys/rotate", headers=operator, json={"kind": kind}).json()

    assert first["refused"] == NONE_REFUSED
    assert first["keys"]
    assert all(key["activates_at"] > key["created_at"] for key in first["keys"])
    assert again == first


def test_the_operator_rotates_in_the_project_that_it_names(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    project, _ = another_project(server)
    theirs, before = operator | {"Sessiond-Project": project}, listed(http, operator)

    http.post("/v1/keys/rotate", headers=theirs, json={"kind": "root"})

    assert any(key["activates_at"] for key in listed(http, theirs))
    assert listed(http, operator) == before


def test_what_a_compromise_would_refuse_is_what_it_refuses(
    fresh_http: httpx.Client, fresh_server: ServerProcess, operator: dict[str, str]
) -> None:
    holders = [Holder(fresh_http, fresh_server) for _ in range(3)]
    holders[0].ask("DELETE", "/v1/session")
    path = f"/v1/keys/{one(fresh_http, operator, 'root', 'active')}/compromise"

    foreseen = fresh_http.post(path, headers=operator, json={"dry_run": True})
    states = [holder.state() for holder in holders]
    done = fresh_http.post(path, headers=operator)

    assert foreseen.json()["refused"] == NONE_REFUSED | {"sessions": 2}
    assert states == ["session_revoked", "live", "live"]
    assert done.json()["refused"] == foreseen.json()["refused"]
    assert [holder.state() for holder in holders] == ["invalid_token"] * 3
    assert Holder(fresh_http, fresh_server).state() == "live"
    assert_problem(fresh_http.post(path, headers=operator), 409, "key_state")


def test_a_refused_signing_key_is_no_longer_published_and_its_tokens_fail_while_sessions_live(
    fresh_http: httpx.Client, fresh_server: ServerProcess, operator: dict[str, str]
) -> None:
    holder, opaque = Holder(fresh_http, fresh_server, format="jwt"), Holder(fresh_http, fresh_server)
    kid = next(
        key["kid"]
        for key in listed(fresh_http, operator)
        if (key["audience"], key["state"]) == ("native", "active")
    )

    done = fresh_http.post(f"/v1/keys/{kid}/compromise", headers=operator)

    assert done.json()["refused"] == NONE_REFUSED | {"access_tokens": 1}
    assert kid not in {key["kid"] for key in fresh_http.get("/.well-known/jwks.json").json()["keys"]}
    assert holder.state() == "invalid_token"
    assert opaque.state() == "live"
    renewed = fresh_http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token})
    assert renewed.status_code == 200
    assert fresh_http.get("/v1/session", headers=bearer(renewed.json()["access_token"])).status_code == 200


def test_keys_that_do_not_exist_here_are_unknown(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    _, key = another_project(server)
    foreign = listed(http, bearer(key))[0]["kid"]

    for kid in ("nothing", foreign):
        assert_problem(http.post(f"/v1/keys/{kid}/compromise", headers=operator), 404, "key_unknown")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/kind"]),
        ({"kind": "wrapping"}, ["/kind"]),
        ({"kind": "root", "dry_run": "yes", "what": 1}, ["/dry_run", "/what"]),
    ],
)
def test_every_fault_of_a_rotation_is_named(
    http: httpx.Client, operator: dict[str, str], body: dict[str, object], pointers: list[str]
) -> None:
    answer = http.post("/v1/keys/rotate", headers=operator, json=body)

    assert_problem(answer, 400, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
