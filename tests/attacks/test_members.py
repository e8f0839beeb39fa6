"""Row 32: nobody writes by a body's or query's members what is not theirs to say, nor says one thing twice."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, created
from tests.server_process import ServerProcess

OURS: Mapping[str, object] = {
    "id": "01890000-0000-7000-8000-000000000000",
    "project": "00000000-0000-4000-8000-000000000002",
    "project_id": "00000000-0000-4000-8000-000000000002",
    "created_at": "2030-01-01T00:00:00Z",
    "expires_at": "2099-01-01T00:00:00Z",
    "last_seen_at": "2030-01-01T00:00:00Z",
    "revoked_at": None,
    "assurance": {"acr": "urn:example:high"},
    "generation": 0,
    "nonce": "AAAAAAAAAAAAAAAAAAAAAA",
    "kid": 1,
    "epochs": {},
    "rotates": False,
    "version": 1,
    "is_admin": True,
    "__proto__": {"is_admin": True},
}


@pytest.mark.parametrize("member", OURS)
def test_row_32_no_body_of_an_application_says_what_is_ours_to_say(
    http: httpx.Client, server: ServerProcess, member: str
) -> None:
    holder, more = Holder(http, server), {member: OURS[member]}
    before = holder.ask("GET", "/v1/session").json()
    calls: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "/v1/sessions", {"subject": holder.subject}),
        ("PATCH", f"/v1/sessions/{holder.id}", {}),
        ("POST", f"/v1/sessions/{holder.id}/extend", {}),
        ("POST", f"/v1/sessions/{holder.id}/authenticate", {}),
        ("PATCH", f"/v1/subjects/{holder.subject}", {}),
        (
            "POST",
            "/api/v1/session-storage",
            {"user_id": "u", "token": "t", "expires_at": "2099-01-01T00:00:00Z"},
        ),
    ]

    for method, path, body in calls:
        if member not in body:
            answer = http.request(method, path, headers=server.authorization, json=body | more)
            assert answer.status_code == 400, (method, path, answer.text)
    assert holder.ask("GET", "/v1/session").json() == before
    listed = http.get("/v1/sessions", headers=server.authorization, params={"subject": holder.subject}).json()
    assert [each["id"] for each in listed["items"]] == [holder.id]


@pytest.mark.parametrize("member", OURS)
def test_row_32_no_body_of_a_holder_says_what_is_ours_to_say(
    http: httpx.Client, server: ServerProcess, member: str
) -> None:
    holder = Holder(http, server)
    more = {member: OURS[member]}

    renamed = holder.ask("PATCH", f"/v1/me/sessions/{holder.id}", json={"client": {"name": "x"}} | more)
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token} | more)

    assert_problem(renamed, 400, "invalid_body")
    assert_problem(refreshed, 400, "invalid_body")
    assert holder.ask("GET", "/v1/session").json()["session"]["client"]["name"] is None


@pytest.mark.parametrize(
    "query",
    [
        "subject=a&subject=b",
        "subject=a&%73ubject=b",
        "limit=1&limit=100",
        "state=live&state=all",
        "subject[]=a",
        "subject=a&project=00000000-0000-4000-8000-000000000002",
        "subject=a&Sessiond-Project=other",
    ],
)
def test_row_32_a_query_says_each_thing_once_and_nothing_else(
    http: httpx.Client, server: ServerProcess, query: str
) -> None:
    assert_problem(http.get(f"/v1/sessions?{query}", headers=server.authorization), 400, "invalid_query")


def test_row_32_a_query_beside_a_body_says_nothing(http: httpx.Client, server: ServerProcess) -> None:
    subject, mallory = a_subject(), a_subject()
    made = http.post(
        f"/v1/sessions?subject={mallory}", headers=server.authorization, json={"subject": subject}
    )

    if made.status_code == 201:
        assert made.json()["session"]["subject"] == subject
    unknown = http.get(f"/v1/subjects/{mallory}", headers=server.authorization)
    assert_problem(unknown, 404, "subject_unknown")


def test_row_32_a_server_key_names_no_other_project(http: httpx.Client, server: ServerProcess) -> None:
    done = server.run("projects", "add", "elsewhere")
    assert done.returncode == 0, done.stderr
    headers = server.authorization | {"Sessiond-Project": "elsewhere"}

    answer = http.post("/v1/sessions", headers=headers, json={"subject": "alice"})

    if answer.status_code == 201:  # the header is the operator's; a key's project is its own
        shown = http.get(f"/v1/sessions/{answer.json()['session']['id']}", headers=server.authorization)
        assert shown.status_code == 200
    assert created(http, server).status_code == 201
