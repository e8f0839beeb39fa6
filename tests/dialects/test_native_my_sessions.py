"""A subject's own sessions over TCP: `/v1/me/sessions`, and what a server key is shown of one session."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, created
from tests.server_process import ServerProcess

UNKNOWN = "01a1fc85-811b-7509-b712-5abdc87c645d"


@pytest.fixture
def laptop(http: httpx.Client, server: ServerProcess) -> Holder:
    return Holder(http, server)


@pytest.fixture
def phone(http: httpx.Client, server: ServerProcess, laptop: Holder) -> Holder:
    return Holder(http, server, subject=laptop.subject)


@pytest.fixture
def stranger(http: httpx.Client, server: ServerProcess) -> Holder:
    return Holder(http, server)


def test_my_sessions_are_listed_and_mine_is_marked(laptop: Holder, phone: Holder, stranger: Holder) -> None:
    page = phone.ask("GET", "/v1/me/sessions").json()

    assert [(item["id"], item["is_current"]) for item in page["items"]] == [
        (phone.id, True),
        (laptop.id, False),
    ]
    assert all(item["ended"] is None for item in page["items"])
    assert page["next"] is None
    assert stranger.id not in str(page)


def test_my_sessions_come_in_pages(http: httpx.Client, server: ServerProcess, laptop: Holder) -> None:
    others = [Holder(http, server, subject=laptop.subject).id for _ in range(3)]
    listed: list[str] = []
    query = {"limit": "2"}

    for _ in range(3):
        page = laptop.ask("GET", "/v1/me/sessions", params=query).json()
        listed += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]

    assert listed == [*others[::-1], laptop.id]
    assert_problem(laptop.ask("GET", "/v1/me/sessions", params={"after": "elsewhere"}), 400, "invalid_cursor")


def test_one_of_my_sessions_is_shown(laptop: Holder, phone: Holder) -> None:
    shown = phone.ask("GET", f"/v1/me/sessions/{laptop.id}").json()["session"]

    assert (shown["id"], shown["subject"], shown["is_current"]) == (laptop.id, laptop.subject, False)


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("DELETE", None), ("PATCH", {"client": {"name": "x"}})]
)
def test_a_foreign_session_looks_as_an_unknown_one(
    laptop: Holder, stranger: Holder, method: str, body: dict[str, object] | None
) -> None:
    foreign = laptop.ask(method, f"/v1/me/sessions/{stranger.id}", json=body)
    unknown = laptop.ask(method, f"/v1/me/sessions/{UNKNOWN}", json=body)
    no_id = laptop.ask(method, "/v1/me/sessions/mine", json=body)

    assert_problem(foreign, 404, "session_unknown")
    told = [answer.json() | {"request_id": ""} for answer in (foreign, unknown, no_id)]
    assert told[0] == told[1] == told[2]
    assert stranger.state() == "live"


def test_the_same_subject_of_another_project_is_a_stranger(
    http: httpx.Client, server: ServerProcess, laptop: Holder
) -> None:
    name = a_subject()
    assert server.run("projects", "add", name).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": name}
    made = http.post("/v1/sessions", headers=operator, json={"subject": laptop.subject})
    twin = made.json()["session"]["id"]

    assert_problem(laptop.ask("GET", f"/v1/me/sessions/{twin}"), 404, "session_unknown")
    assert_problem(laptop.ask("DELETE", f"/v1/me/sessions/{twin}"), 404, "session_unknown")
    assert twin not in laptop.ask("GET", "/v1/me/sessions").text


def test_i_end_another_of_my_sessions_and_its_holder_is_told_why(laptop: Holder, phone: Holder) -> None:
    path = f"/v1/me/sessions/{laptop.id}"

    assert phone.ask("DELETE", path, params={"reason": "lost it"}).status_code == 204
    assert phone.ask("DELETE", path).status_code == 204

    refused = laptop.ask("GET", "/v1/session")
    assert_problem(refused, 401, "session_revoked")
    assert refused.json()["reason"] == "lost it"
    assert phone.state() == "live"
    ended = phone.ask("GET", path).json()["session"]["ended"]
    assert (ended["code"], ended["reason"]) == ("session_revoked", "lost it")
    assert ended["at"] == refused.json()["ended_at"]


def test_i_end_all_my_other_sessions_at_once(
    http: httpx.Client, server: ServerProcess, laptop: Holder, phone: Holder, stranger: Holder
) -> None:
    assert laptop.ask("DELETE", "/v1/me/sessions").status_code == 204

    assert (laptop.state(), phone.state(), stranger.state()) == ("live", "subject_sessions_revoked", "live")
    assert [each["id"] for each in laptop.ask("GET", "/v1/me/sessions").json()["items"]] == [laptop.id]
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": laptop.refresh_token})
    assert refreshed.status_code == 200
    assert Holder(http, server, subject=laptop.subject).state() == "live"


def test_i_name_my_clients(laptop: Holder, phone: Holder) -> None:
    path = f"/v1/me/sessions/{laptop.id}"

    named = phone.ask("PATCH", path, json={"client": {"name": "Küche"}})

    assert named.status_code == 200, named.text
    assert named.json()["session"]["client"]["name"] == "Küche"
    assert laptop.ask("GET", "/v1/session").json()["session"]["client"]["name"] == "Küche"
    assert (
        phone.ask("PATCH", path, json={"client": {"name": None}}).json()["session"]["client"]["name"] is None
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client": {}},
        {"client": {"name": ""}},
        {"client": {"name": "x" * 129}},
        {"client": {"name": "a\nb"}},
        {"client": {"name": "x", "address": "::1"}},
        {"client": {"name": "x"}, "metadata": {}},
    ],
)
def test_a_name_of_a_wrong_shape_is_refused(laptop: Holder, body: dict[str, object]) -> None:
    answer = laptop.ask("PATCH", f"/v1/me/sessions/{laptop.id}", json=body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith(("/client", "/metadata"))


def test_an_ended_session_gets_no_name(laptop: Holder, phone: Holder) -> None:
    phone.ask("DELETE", f"/v1/me/sessions/{laptop.id}")

    answer = phone.ask("PATCH", f"/v1/me/sessions/{laptop.id}", json={"client": {"name": "x"}})

    assert_problem(answer, 409, "session_ended")


@pytest.mark.parametrize("reason", ["", "x" * 201, "a\nb"])
def test_a_reason_is_a_short_line(laptop: Holder, reason: str) -> None:
    answer = laptop.ask("DELETE", f"/v1/me/sessions/{laptop.id}", params={"reason": reason})

    assert answer.status_code == 400
    assert laptop.state() == "live"


def test_a_cookie_manages_its_subjects_sessions_from_our_own_pages_only(
    http: httpx.Client, server: ServerProcess, laptop: Holder
) -> None:
    made = created(http, server, subject=laptop.subject, delivery="cookie")
    http.cookies.clear()
    identifier, cookie = made.json()["session"]["id"], made.headers["set-cookie"].split(";")[0]
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    ours = {"Cookie": cookie, "Origin": server.url}

    for method, path in [
        ("DELETE", "/v1/me/sessions"),
        ("DELETE", f"/v1/me/sessions/{laptop.id}"),
        ("PATCH", f"/v1/me/sessions/{laptop.id}"),
    ]:
        assert_problem(
            http.request(method, path, headers=foreign, json={"client": {"name": "x"}}), 403, "cross_site"
        )
    assert laptop.state() == "live"

    assert http.delete(f"/v1/me/sessions/{laptop.id}", headers=ours).status_code == 204
    assert laptop.state() == "session_revoked"
    ended = http.delete(f"/v1/me/sessions/{identifier}", headers=ours)
    assert ended.status_code == 204
    assert "Max-Age=0" in ended.headers["set-cookie"]
    assert_problem(http.get("/v1/session", headers={"Cookie": cookie}), 401, "session_revoked")


@pytest.mark.parametrize("path", ["/v1/me/sessions", f"/v1/me/sessions/{UNKNOWN}"])
def test_mine_takes_a_session_and_no_key(http: httpx.Client, server: ServerProcess, path: str) -> None:
    assert_problem(http.get(path), 401, "credential_required")
    assert http.get(path, headers=server.authorization).status_code == 401
    assert http.get(path, headers={"Authorization": f"Bearer {server.master_token}"}).status_code == 401


def test_a_server_key_is_shown_a_session_alive_and_ended(
    http: httpx.Client, server: ServerProcess, laptop: Holder
) -> None:
    path = f"/v1/sessions/{laptop.id}"
    living = http.get(path, headers=server.authorization).json()["session"]
    assert_problem(laptop.ask("GET", path), 403, "server_key_required")
    http.delete(path, headers=server.authorization)

    ended = http.get(path, headers=server.authorization).json()["session"]

    assert (living["id"], living["is_current"], living["ended"]) == (laptop.id, False, None)
    assert (ended["ended"]["code"], ended["ended"]["reason"]) == ("session_revoked", "revoked")
    assert_problem(http.get(f"/v1/sessions/{UNKNOWN}", headers=server.authorization), 404, "session_unknown")
    assert_problem(http.get("/v1/sessions/x", headers=server.authorization), 404, "session_unknown")


def test_a_session_of_another_project_is_unknown_to_a_server_key(
    http: httpx.Client, server: ServerProcess
) -> None:
    name = a_subject()
    assert server.run("projects", "add", name).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": name}
    made = http.post("/v1/sessions", headers=operator, json={"subject": "alice"}).json()["session"]["id"]

    assert http.get(f"/v1/sessions/{made}", headers=operator).status_code == 200
    assert_problem(http.get(f"/v1/sessions/{made}", headers=server.authorization), 404, "session_unknown")
