"""Sessions that an application ends, over TCP: one with a reason, many, all but one, all of a project."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem
from tests.server_process import ServerProcess

UNKNOWN = "01a1fc85-811b-7509-b712-5abdc87c645d"


@pytest.fixture
def elsewhere(server: ServerProcess) -> dict[str, str]:
    """The operator's headers for a project of its own."""
    name = f"shop-{uuid.uuid4()}"
    assert server.run("projects", "add", name).returncode == 0
    return {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": name}


def test_a_holder_is_told_why_its_session_was_ended(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    path = f"/v1/sessions/{holder.id}"

    http.delete(path, headers=server.authorization, params={"reason": "Passwort geändert"})
    http.delete(path, headers=server.authorization, params={"reason": "another"})

    told = holder.ask("GET", "/v1/session")
    assert_problem(told, 401, "session_revoked")
    assert told.json()["reason"] == "Passwort geändert"


def test_whoever_ends_all_of_a_subject_s_sessions_tells_why_and_when(
    http: httpx.Client, server: ServerProcess
) -> None:
    swept, kept = Holder(http, server), Holder(http, server)
    other = Holder(http, server, subject=kept.subject)

    http.delete(f"/v1/subjects/{swept.subject}/sessions?reason=breach", headers=server.authorization)
    kept.ask("DELETE", "/v1/me/sessions?reason=new%20phone")

    for holder, reason in ((swept, "breach"), (other, "new phone")):
        told = holder.ask("GET", "/v1/session").json()
        assert (told["code"], told["reason"]) == ("subject_sessions_revoked", reason)
        assert told["detail"] == (
            f"All sessions of the subject were ended ({reason}) at {told['ended_at']}; sign in again."
        )
    assert kept.state() == "live"


def test_a_holder_is_told_why_all_sessions_of_the_project_ended(
    http: httpx.Client, elsewhere: dict[str, str]
) -> None:
    made = http.post("/v1/sessions", headers=elsewhere, json={"subject": a_subject()}).json()

    http.delete("/v1/project/sessions", params={"reason": "breach"}, headers=elsewhere)

    told = http.get("/v1/session", headers={"Authorization": f"Bearer {made['access_token']}"})
    assert_problem(told, 401, "project_sessions_revoked")
    assert told.json()["reason"] == "breach"
    assert "ended_at" in told.json()


def test_many_sessions_end_at_once_with_one_reason(
    http: httpx.Client, server: ServerProcess, elsewhere: dict[str, str]
) -> None:
    holders = [Holder(http, server) for _ in range(4)]
    foreign = http.post("/v1/sessions", headers=elsewhere, json={"subject": "x"}).json()["session"]["id"]
    named = [holder.id for holder in holders[:3]]

    answer = http.post(
        "/v1/sessions/revoke",
        headers=server.authorization,
        json={"ids": [*named, named[0], UNKNOWN, "x", foreign], "reason": "breach"},
    )

    assert answer.status_code == 200, answer.text
    assert answer.json() == {"ended": named, "unknown": [UNKNOWN, "x", foreign]}
    told = [holder.ask("GET", "/v1/session") for holder in holders]
    assert [each.status_code for each in told] == [401, 401, 401, 200]
    assert {each.json()["reason"] for each in told[:3]} == {"breach"}
    again = http.post("/v1/sessions/revoke", headers=server.authorization, json={"ids": named})
    assert again.json() == {"ended": named, "unknown": []}
    spared = http.get(f"/v1/sessions/{foreign}", headers=elsewhere).json()["session"]
    assert spared["ended"] is None


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["x"] * 501}, {"ids": [1]}, {"ids": ["x"], "reason": "a\nb"}]
)
def test_a_list_of_ids_of_a_wrong_shape_ends_nothing(
    http: httpx.Client, server: ServerProcess, body: dict[str, object]
) -> None:
    answer = http.post("/v1/sessions/revoke", headers=server.authorization, json=body)

    assert_problem(answer, 400, "invalid_body")


def test_five_hundred_ids_are_taken(http: httpx.Client, server: ServerProcess) -> None:
    ids = [str(uuid.uuid4()) for _ in range(500)]

    answer = http.post("/v1/sessions/revoke", headers=server.authorization, json={"ids": ids})

    assert answer.json() == {"ended": [], "unknown": ids}


def test_all_sessions_of_a_subject_end_but_one(http: httpx.Client, server: ServerProcess) -> None:
    kept = Holder(http, server)
    other = Holder(http, server, subject=kept.subject)
    path = f"/v1/subjects/{kept.subject}/sessions"

    assert http.delete(path, headers=server.authorization, params={"except": kept.id}).status_code == 204

    assert (kept.state(), other.state()) == ("live", "subject_sessions_revoked")


def test_nothing_ends_if_the_one_to_keep_is_not_the_subjects_or_has_ended(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder, stranger = Holder(http, server), Holder(http, server)
    ended = Holder(http, server, subject=holder.subject)
    http.delete(f"/v1/sessions/{ended.id}", headers=server.authorization)
    path = f"/v1/subjects/{holder.subject}/sessions"

    for kept in (stranger.id, UNKNOWN, "x", ""):
        answer = http.delete(path, headers=server.authorization, params={"except": kept})
        assert_problem(answer, 404, "session_unknown")
    dead = http.delete(path, headers=server.authorization, params={"except": ended.id})
    assert_problem(dead, 409, "session_ended")
    assert (holder.state(), stranger.state()) == ("live", "live")


def test_all_sessions_of_a_project_end_and_no_other_ones(
    http: httpx.Client, server: ServerProcess, elsewhere: dict[str, str]
) -> None:
    here = Holder(http, server)
    made = [
        http.post("/v1/sessions", headers=elsewhere, json={"subject": a_subject()}).json() for _ in range(2)
    ]

    assert http.delete("/v1/project/sessions", headers=elsewhere).status_code == 204
    assert http.delete("/v1/project/sessions", headers=elsewhere).status_code == 204

    for body in made:
        told = http.get("/v1/session", headers={"Authorization": f"Bearer {body['access_token']}"})
        assert_problem(told, 401, "project_sessions_revoked")
    assert here.state() == "live"
    anew = http.post("/v1/sessions", headers=elsewhere, json={"subject": "alice"}).json()["access_token"]
    assert http.get("/v1/session", headers={"Authorization": f"Bearer {anew}"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/sessions/revoke"), ("DELETE", "/v1/project/sessions")]
)
def test_ending_takes_a_server_key(http: httpx.Client, server: ServerProcess, method: str, path: str) -> None:
    holder = Holder(http, server)

    assert_problem(holder.ask(method, path, json={"ids": [holder.id]}), 403, "server_key_required")
    assert_problem(http.request(method, path, json={"ids": [holder.id]}), 401, "credential_required")
    assert holder.state() == "live"
