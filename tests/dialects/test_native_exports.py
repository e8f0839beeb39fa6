"""Exporting all that is kept of a subject, over TCP against a real server."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.main_calls import PIN, add_pin_user

VAULT_TOKEN = "eyJhbGciOiJIUzI1NiJ9.canary-of-the-export.Zz0Q3Yk"


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client with the server key."""
    with httpx.Client(base_url=server.url, headers=server.authorization) as client:
        yield client


def a_user() -> str:
    return f"käthe/{uuid.uuid4()}"


def exported(http: httpx.Client, subject: str) -> dict[str, Any]:
    answer = http.get(f"/v1/subjects/{quote(subject, safe='')}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    document: dict[str, Any] = answer.json()
    return document


def session_of(http: httpx.Client, subject: str) -> dict[str, Any]:
    answer = http.post("/v1/sessions", json={"subject": subject})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_new_subject_is_all_that_is_kept_of_it(http: httpx.Client) -> None:
    subject = http.post("/v1/subjects", json={"name": "Ann", "profile": {"mail": "a@example.org"}}).json()

    document = exported(http, subject["subject"]["id"])

    assert document["subject"] == subject["subject"]
    assert (document["pin"], document["sessions"], document["vault_entries"]) == (None, [], [])
    assert [event["type"] for event in document["events"]] == ["subject.created", "subject.exported"]


def test_live_and_ended_sessions_are_exported_with_why_they_ended(http: httpx.Client) -> None:
    user = a_user()
    ended, live = (session_of(http, user)["session"] for _ in range(2))
    http.delete(f"/v1/sessions/{ended['id']}")
    session_of(http, a_user())

    sessions = exported(http, user)["sessions"]

    assert [session["id"] for session in sessions] == [live["id"], ended["id"]]
    assert sessions[0]["ended"] is None
    assert sessions[1]["ended"]["code"] == "session_revoked"
    assert {name: sessions[0][name] for name in live} == live


def test_more_sessions_than_one_page_holds_are_all_exported(http: httpx.Client) -> None:
    user = a_user()
    ids = [session_of(http, user)["session"]["id"] for _ in range(120)]

    assert [session["id"] for session in exported(http, user)["sessions"]] == ids[::-1]


def test_vault_entries_are_exported_without_their_tokens(http: httpx.Client) -> None:
    user = a_user()
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat()
    saved = http.post(
        "/api/v1/session-storage", json={"user_id": user, "token": VAULT_TOKEN, "expires_at": until}
    )
    assert saved.status_code == 201, saved.text
    http.post("/v1/subjects", json={"id": user})

    answer = http.get(f"/v1/subjects/{quote(user, safe='')}/export")

    [entry] = answer.json()["vault_entries"]
    assert set(entry) == {"id", "valid", "created_at", "saved_at", "expires_at"}
    assert (entry["id"], entry["valid"]) == (saved.json()["id"], True)
    assert VAULT_TOKEN not in answer.text
    assert "vault.saved" in [event["type"] for event in answer.json()["events"]]


def test_no_token_and_no_pin_is_exported(http: httpx.Client, server: ServerProcess) -> None:
    name = f"ann-{uuid.uuid4().hex[:8]}"
    add_pin_user(server, name)
    session = session_of(http, name)

    document = http.get(f"/v1/subjects/{name}/export")

    assert set(document.json()["pin"]) == {"set_at"}
    for secret in (session["access_token"], session["refresh_token"], "argon2", f'"{PIN}"', "nonce"):
        assert secret not in document.text


def test_what_a_subject_did_itself_is_exported_and_nothing_of_others(
    http: httpx.Client, server: ServerProcess
) -> None:
    user, other = a_user(), a_user()
    session_of(http, other)
    token = session_of(http, user)["access_token"]
    httpx.delete(f"{server.url}/v1/session", headers={"Authorization": f"Bearer {token}"})

    events = exported(http, user)["events"]

    assert [(event["type"], event["by"]) for event in events if event["type"] == "session.revoked"] == [
        ("session.revoked", f"subject:{user}")
    ]
    assert {event["subject"] for event in events} == {user}


def test_an_export_is_in_the_events_with_who_asked(http: httpx.Client) -> None:
    user = a_user()
    session_of(http, user)
    exported(http, user)

    asked = [event for event in exported(http, user)["events"] if event["type"] == "subject.exported"]

    assert len(asked) == 2
    assert asked[0]["by"].startswith("server_key:")


@pytest.mark.parametrize("name", ["nobody", "operator"])
def test_an_unknown_subject_has_no_export(http: httpx.Client, name: str) -> None:
    answer = http.get(f"/v1/subjects/{name}/export")

    assert (answer.status_code, answer.json()["code"]) == (404, "subject_unknown")


def test_another_projects_subject_has_no_export(http: httpx.Client, server: ServerProcess) -> None:
    project, user = f"shop-{uuid.uuid4()}", a_user()
    assert server.run("projects", "add", project).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": project}
    assert http.post("/v1/subjects", json={"id": user}, headers=operator).status_code == 201

    assert http.get(f"/v1/subjects/{quote(user, safe='')}/export").status_code == 404
    assert http.get(f"/v1/subjects/{quote(user, safe='')}/export", headers=operator).status_code == 200


def test_a_subject_exports_nothing_itself(http: httpx.Client, server: ServerProcess) -> None:
    user = f"user-{uuid.uuid4()}"
    own = {"Authorization": f"Bearer {session_of(http, user)['access_token']}"}

    answer = http.get(f"/v1/subjects/{user}/export", headers=own)

    assert (answer.status_code, answer.json()["code"]) == (403, "server_key_required")
    assert httpx.get(f"{server.url}/v1/subjects/{user}/export").status_code == 401
