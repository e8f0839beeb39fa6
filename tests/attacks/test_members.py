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


@pytest.mark.parametrize(
    "member", ["subject", "kind", "delivery", "format", "limits.absolute_seconds", "actor"]
)
def test_row_32_a_query_beside_a_body_says_nothing(
    http: httpx.Client, server: ServerProcess, member: str
) -> None:
    subject, mallory = a_subject(), a_subject()
    query = {member: {"delivery": "cookie", "format": "jwt", "kind": "device"}.get(member, mallory)}

    made = http.post("/v1/sessions", params=query, headers=server.authorization, json={"subject": subject})

    assert made.status_code == 201, made.text
    plain = created(http, server).json()
    assert made.json()["session"]["subject"] == subject
    assert made.json().keys() == plain.keys()
    assert made.json()["session"].keys() == plain["session"].keys()
    assert made.json()["access_token"][:5] == plain["access_token"][:5]
    assert made.json()["session"]["kind"] == plain["session"]["kind"]
    assert "set-cookie" not in made.headers
    unknown = http.get(f"/v1/subjects/{mallory}", headers=server.authorization)
    assert_problem(unknown, 404, "subject_unknown")


def test_row_32_a_query_is_no_body(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    before = holder.ask("GET", "/v1/session").json()

    refreshed = http.post("/v1/session/refresh", params={"refresh_token": holder.refresh_token})
    made = http.post("/v1/sessions", params={"subject": holder.subject}, headers=server.authorization)
    patched = holder.ask("PATCH", f"/v1/me/sessions/{holder.id}", params={"client": '{"name": "x"}'})

    assert [answer.status_code for answer in (refreshed, made, patched)] == [400] * 3
    assert holder.ask("GET", "/v1/session").json() == before


def twice(name: str, first: str, second: str, *, escaped: bool) -> str:
    """Return a JSON object that says *name* twice, the second time spelt with escapes where wanted."""
    again = "".join(f"\\u{ord(each):04x}" for each in name) if escaped else name
    return f'{{"{name}": {first}, "{again}": {second}}}'


@pytest.mark.parametrize("escaped", [False, True])
def test_row_32_no_body_says_one_thing_twice(
    http: httpx.Client, server: ServerProcess, *, escaped: bool
) -> None:
    holder, mallory = Holder(http, server), a_subject()
    before = holder.ask("GET", "/v1/session").json()
    refresh = f'"{holder.refresh_token}"'
    name = twice("name", '"x"', '"y"', escaped=escaped)
    calls = [
        ("POST", "/v1/sessions", twice("subject", f'"{holder.subject}"', f'"{mallory}"', escaped=escaped)),
        ("POST", "/v1/sessions", twice("subject", f'"{mallory}"', f'"{mallory}"', escaped=escaped)),
        ("POST", "/v1/sessions", f'{{"subject": "{mallory}", "client": {name}}}'),
        ("PATCH", f"/v1/sessions/{holder.id}", f'{{"metadata": {{"deep": [{name}]}}}}'),
        ("POST", "/v1/session/refresh", twice("refresh_token", refresh, refresh, escaped=escaped)),
    ]

    for method, path, body in calls:
        headers = {"Content-Type": "application/json"}
        if path != "/v1/session/refresh":
            headers |= server.authorization
        answer = http.request(method, path, headers=headers, content=body)
        assert_problem(answer, 400, "malformed_body")

    assert holder.ask("GET", "/v1/session").json() == before
    assert_problem(http.get(f"/v1/subjects/{mallory}", headers=server.authorization), 404, "subject_unknown")


def test_row_32_no_form_says_one_thing_twice(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    token = f"refresh_token={holder.refresh_token}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    bodies = [
        f"grant_type=refresh_token&{token}&{token}",
        f"grant_type=refresh_token&grant_type=client_credentials&{token}",
        f"grant_type=refresh_token&grant%5Ftype=refresh_token&{token}",
    ]

    answers = [http.post("/oauth/token", headers=headers, content=body) for body in bodies]

    assert [(each.status_code, each.json()["error"]) for each in answers] == [(400, "invalid_request")] * 3
    assert http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token}).status_code == 200


def test_row_32_a_server_key_names_no_other_project(http: httpx.Client, server: ServerProcess) -> None:
    done = server.run("projects", "add", "elsewhere", "--json")
    assert done.returncode == 0, done.stderr
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": "elsewhere"}
    there = http.post("/v1/sessions", headers=operator, json={"subject": "alice"})
    assert there.status_code == 201, there.text
    session, subject = there.json()["session"], a_subject()
    headers = server.authorization | {"Sessiond-Project": "elsewhere"}

    made = http.post("/v1/sessions", headers=headers, json={"subject": subject})
    shown = http.get(f"/v1/sessions/{session['id']}", headers=headers)
    ended = http.delete("/v1/subjects/alice/sessions", headers=headers)

    assert made.status_code == 201, made.text
    assert_problem(shown, 404, "session_unknown")
    assert ended.status_code in {204, 404}
    listed = http.get("/v1/sessions", headers=server.authorization, params={"subject": subject}).json()
    assert [each["id"] for each in listed["items"]] == [made.json()["session"]["id"]]
    others = http.get("/v1/sessions", headers=operator, params={"subject": subject}).json()
    assert others["items"] == []
    alive = http.get("/v1/session", headers={"Authorization": f"Bearer {there.json()['access_token']}"})
    assert alive.status_code == 200, alive.text


def test_row_32_a_project_is_named_once(http: httpx.Client, server: ServerProcess) -> None:
    headers = [
        ("Authorization", f"Bearer {server.master_token}"),
        ("Sessiond-Project", "default"),
        ("Sessiond-Project", "default"),
    ]

    answer = http.get("/v1/sessions", headers=headers, params={"subject": "alice"})

    assert answer.status_code == 400, answer.text
