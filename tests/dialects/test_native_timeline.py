"""`GET /v1/sessions/{id}/timeline`: why was this user signed out?"""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import Holder, assert_problem, bearer
from tests.server_process import ServerProcess


def timeline(http: httpx.Client, server: ServerProcess, session: str, **query: object) -> httpx.Response:
    return http.get(
        f"/v1/sessions/{session}/timeline",
        headers=server.authorization,
        params=query,  # type: ignore[arg-type]
    )


def test_a_signed_out_user_s_session_says_who_ended_it_why_and_when(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder = Holder(http, server, client={"name": "phone", "address": "203.0.113.7"})
    path = f"/v1/subjects/{holder.subject}/sessions"
    http.delete(path, headers=server.authorization, params={"reason": "password changed"})

    body = timeline(http, server, holder.id).json()

    assert [item["type"] for item in body["items"]] == [
        "subject.created",
        "session.issued",
        "subject.sessions_revoked",
    ]
    assert [item["at"] for item in body["items"]] == sorted(item["at"] for item in body["items"])
    assert body["items"][1]["data"] == {
        "by_address": "127.0.0.1",
        "kind": "tokens",
        "address": "203.0.113.7",
    }
    ended = body["ended"]
    assert (ended["code"], ended["reason"]) == ("subject_sessions_revoked", "password changed")
    assert ended["by"].startswith("server_key:")
    assert ended["at"] == body["items"][2]["at"] == body["session"]["ended"]["at"]
    assert "password changed" in ended["detail"]
    assert body["next"] is None


def test_a_living_session_s_end_is_null(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    body = timeline(http, server, holder.id).json()

    assert (body["ended"], body["session"]["ended"]) == (None, None)
    assert holder.refresh_token not in str(body)


def test_pages_follow_each_other(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    holder.ask("DELETE", "/v1/session")

    first = timeline(http, server, holder.id, limit=2).json()
    second = timeline(http, server, holder.id, limit=2, after=first["next"]).json()

    found = [item["type"] for item in (*first["items"], *second["items"])]
    assert found == ["subject.created", "session.issued", "session.revoked"]
    assert second["next"] is None
    assert second["ended"]["by"] == f"subject:{holder.subject}"


@pytest.mark.parametrize(
    "after", ["", "1", "x-y-z-0", "1-2-3-4", "1-2-3", "-1-2-3-0", "1-2-9999999999999999999-0", "٣-1-1-0"]
)
def test_a_cursor_of_one_s_own_making_is_refused(
    http: httpx.Client, server: ServerProcess, after: str
) -> None:
    holder = Holder(http, server)

    assert_problem(timeline(http, server, holder.id, after=after), 400, "invalid_cursor")


def test_unknown_and_foreign_sessions_are_alike(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    server.run("projects", "add", "stranger")
    as_operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": "stranger"}

    foreign = http.get(f"/v1/sessions/{holder.id}/timeline", headers=as_operator)

    assert_problem(foreign, 404, "session_unknown")
    assert_problem(timeline(http, server, "0190c1d2-7c00-7abc-8000-000000000000"), 404, "session_unknown")
    assert_problem(timeline(http, server, "no-id"), 404, "session_unknown")


def test_a_session_s_own_token_does_not_open_it(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    assert_problem(holder.ask("GET", f"/v1/sessions/{holder.id}/timeline"), 403, "server_key_required")
    assert_problem(http.get(f"/v1/sessions/{holder.id}/timeline"), 401, "credential_required")
    assert_problem(
        http.get(f"/v1/sessions/{holder.id}/timeline", headers=bearer(holder.refresh_token)),
        401,
        "wrong_token_kind",
    )
