"""Row 15: nobody reaches what is another's, and what is another's looks like what there is not."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, bearer
from tests.server_process import ServerProcess

UNKNOWN = "01890000-0000-7000-8000-000000000000"


class Operator:
    """The operator, signed in once, as a server key of the default project meets it."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        # By this door and not by the other, at which an address may knock five times at once.
        answer = http.post("/api/auth/login", json={"token": server.master_token})
        http.cookies.clear()
        self.headers = bearer(answer.cookies["pocketpaw_session"])
        self.id = str(http.get("/v1/session", headers=self.headers).json()["session"]["id"])
        self._http = http

    def lives(self) -> bool:
        return self._http.get("/v1/session", headers=self.headers).status_code == 200


@pytest.fixture
def operator(http: httpx.Client, server: ServerProcess) -> Operator:
    return Operator(http, server)


SESSION_CALLS = [
    ("GET", "/v1/sessions/{id}", None),
    ("GET", "/v1/sessions/{id}/timeline", None),
    ("PATCH", "/v1/sessions/{id}", {"client": {"name": "mine"}}),
    ("POST", "/v1/sessions/{id}/extend", {}),
    ("POST", "/v1/sessions/{id}/authenticate", {}),
    ("POST", "/v1/sessions/{id}/link", {"subject": "mallory"}),
    ("DELETE", "/v1/sessions/{id}", None),
]


@pytest.mark.parametrize("call", SESSION_CALLS, ids=lambda call: f"{call[0]} {call[1]}")
def test_row_15_the_operators_session_is_unknown_to_a_server_key(
    http: httpx.Client,
    server: ServerProcess,
    operator: Operator,
    call: tuple[str, str, dict[str, object] | None],
) -> None:
    method, path, body = call

    def asked(identifier: str) -> httpx.Response:
        return http.request(method, path.format(id=identifier), headers=server.authorization, json=body)

    answer, unknown = asked(operator.id), asked(UNKNOWN)

    assert_problem(answer, 404, "session_unknown")
    assert answer.json()["detail"] == unknown.json()["detail"]
    assert operator.lives()


def test_row_15_a_server_key_ends_the_operators_sessions_by_no_list_of_ids_and_by_no_subject(
    http: httpx.Client, server: ServerProcess, operator: Operator
) -> None:
    many = http.post("/v1/sessions/revoke", headers=server.authorization, json={"ids": [operator.id]})
    every = http.delete("/v1/subjects/operator/sessions", headers=server.authorization)
    but_one = http.delete(
        "/v1/subjects/operator/sessions", headers=server.authorization, params={"except": operator.id}
    )

    assert many.json() == {"ended": [], "unknown": [operator.id]}
    assert_problem(every, 404, "subject_unknown")
    assert_problem(but_one, 404, "session_unknown")
    assert operator.lives()


@pytest.mark.parametrize("query", [{}, {"subject": "operator"}, {"q": "operator"}, {"kind": "operator"}])
def test_row_15_no_list_shows_the_operators_sessions_to_a_server_key(
    http: httpx.Client, server: ServerProcess, operator: Operator, query: dict[str, str]
) -> None:
    answer = http.get(
        "/v1/sessions", headers=server.authorization, params={"state": "all", "limit": "100"} | query
    )

    assert answer.status_code == 200
    assert operator.id not in answer.text


def test_row_15_the_operator_manages_its_own_sessions(http: httpx.Client, server: ServerProcess) -> None:
    operator = Operator(http, server)
    listed = http.get("/v1/sessions", headers=operator.headers, params={"subject": "operator"}).json()
    shown = http.get(f"/v1/sessions/{operator.id}", headers=bearer(server.master_token))
    ended = http.delete(f"/v1/sessions/{operator.id}", headers=bearer(server.master_token))

    assert operator.id in [session["id"] for session in listed["items"]]
    assert (shown.status_code, ended.status_code) == (200, 204)
    assert not operator.lives()


def test_row_15_a_server_key_that_ends_all_of_the_project_ends_none_of_the_operators(
    http: httpx.Client, server: ServerProcess, operator: Operator
) -> None:
    subject = a_subject()
    asked = {"actor": {"session": operator.id}, "reason": "asked to help"}
    holder = Holder(http, server, subject=subject)
    acting = http.post(f"/v1/subjects/{subject}/impersonate", headers=operator.headers, json=asked)
    assert acting.status_code == 201, acting.text

    assert http.delete("/v1/project/sessions", headers=server.authorization).status_code == 204

    assert operator.lives()
    assert holder.state() == "project_sessions_revoked"
    acted = http.get("/v1/session", headers=bearer(acting.json()["access_token"]))
    assert_problem(acted, 401, "project_sessions_revoked")
    again = http.post(f"/v1/subjects/{subject}/impersonate", headers=operator.headers, json=asked)
    lives = http.get("/v1/session", headers=bearer(again.json()["access_token"]))
    assert lives.status_code == 200, lives.text


def test_row_15_the_operator_who_ends_all_of_the_default_project_ends_the_operators_too(
    http: httpx.Client, server: ServerProcess
) -> None:
    operator, holder = Operator(http, server), Holder(http, server)
    assert http.delete("/v1/project/sessions", headers=operator.headers).status_code == 204
    assert not operator.lives()
    assert holder.state() == "project_sessions_revoked"

    operator = Operator(http, server)
    done = server.run("sessions", "revoke", "--all", "--yes")
    assert done.returncode == 0, done.stderr
    assert not operator.lives()


def test_row_15_another_projects_subject_may_be_called_operator(
    http: httpx.Client, server: ServerProcess
) -> None:
    name = a_subject()
    other = server.run("projects", "add", name, "--json")
    assert other.returncode == 0, other.stderr
    headers = bearer(server.master_token) | {"Sessiond-Project": name}
    made = http.post("/v1/sessions", headers=headers, json={"subject": "operator"}).json()["session"]

    ended = http.delete("/v1/subjects/operator/sessions", headers=headers)

    assert ended.status_code == 204
    assert http.get(f"/v1/sessions/{made['id']}", headers=headers).json()["session"]["ended"] is not None
