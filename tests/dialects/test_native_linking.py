"""Linking a device's session to a user, over TCP against a real server."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.dialects.device_calls import a_device, opened, session_of
from tests.server_process import ServerProcess


def a_user() -> str:
    return f"user-{uuid.uuid4()}"


def shown(http: httpx.Client, token: str) -> dict[str, Any]:
    answer = session_of(http, token)
    assert answer.status_code == 200, answer.text
    session: dict[str, Any] = answer.json()["session"]
    return session


def link(http: httpx.Client, server: ServerProcess, session: str, body: object) -> httpx.Response:
    return http.post(f"/v1/sessions/{session}/link", headers=server.authorization, json=body)


def linked(http: httpx.Client, server: ServerProcess, session: str, user: str) -> dict[str, Any]:
    answer = link(http, server, session, {"subject": user})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_device_goes_on_as_the_user_it_was_linked_to(http: httpx.Client, server: ServerProcess) -> None:
    identifier, user = a_device(), a_user()
    before = opened(http, identifier)
    device = shown(http, before)

    body = linked(http, server, device["id"], user)
    after = opened(http, identifier)

    assert body["linked_from"] == device["subject"]
    assert (body["session"]["subject"], body["session"]["kind"], body["session"]["acr"]) == (
        user,
        "device",
        "0",
    )
    assert shown(http, after)["id"] == body["session"]["id"]
    ended = session_of(http, before)
    assert_problem(ended, 401, "session_revoked")
    assert ended.json()["reason"] == "linked"


def test_a_link_survives_a_restart(fresh_server: ServerProcess) -> None:
    identifier = a_device()
    with httpx.Client(base_url=fresh_server.url) as http:
        device = shown(http, opened(http, identifier))
        body = linked(http, fresh_server, device["id"], "alice")
        fresh_server.kill()
        fresh_server.restart()

        assert shown(http, opened(http, identifier))["id"] == body["session"]["id"]
        assert linked(http, fresh_server, device["id"], "alice") == body


def test_a_link_may_be_repeated(http: httpx.Client, server: ServerProcess) -> None:
    device, user = shown(http, opened(http, a_device())), a_user()

    def repeat(_: int) -> str:
        answer = httpx.post(
            f"{server.url}/v1/sessions/{device['id']}/link",
            headers=server.authorization,
            json={"subject": user},
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["session"]["id"])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(repeat, range(16)))) == 1
    listed = http.get("/v1/sessions", params={"subject": user}, headers=server.authorization)
    assert len(listed.json()["items"]) == 1


def test_a_device_of_one_user_is_not_given_to_another(http: httpx.Client, server: ServerProcess) -> None:
    identifier, user = a_device(), a_user()
    device = shown(http, opened(http, identifier))
    linked(http, server, device["id"], user)

    assert_problem(link(http, server, device["id"], {"subject": a_user()}), 409, "linked_to_another")

    assert shown(http, opened(http, identifier))["subject"] == user


def test_a_signed_out_user_is_not_signed_in_by_the_identifier(
    http: httpx.Client, server: ServerProcess
) -> None:
    identifier = a_device()
    device = shown(http, opened(http, identifier))
    linked(http, server, device["id"], a_user())
    token = opened(http, identifier)
    assert http.delete("/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code == 204

    after = shown(http, opened(http, identifier))

    assert after["subject"] == device["subject"]
    assert after["id"] != device["id"]


def test_what_is_no_devices_live_session_is_not_linked(http: httpx.Client, server: ServerProcess) -> None:
    ordinary = http.post("/v1/sessions", headers=server.authorization, json={"subject": a_user()}).json()
    ended = shown(http, opened(http, a_device()))
    http.delete(f"/v1/sessions/{ended['id']}", headers=server.authorization)
    live = shown(http, opened(http, a_device()))
    body = {"subject": a_user()}

    assert_problem(link(http, server, ordinary["session"]["id"], body), 409, "not_anonymous")
    assert_problem(link(http, server, ended["id"], body), 409, "session_ended")
    assert_problem(link(http, server, live["id"], {"subject": "operator"}), 409, "not_a_user")
    assert_problem(link(http, server, live["id"], {"subject": ended["subject"]}), 409, "not_a_user")
    for unknown in ("x", str(uuid.uuid4())):
        assert_problem(link(http, server, unknown, body), 404, "session_unknown")


def test_a_disabled_user_gets_no_device(http: httpx.Client, server: ServerProcess) -> None:
    device, user = shown(http, opened(http, a_device())), a_user()
    http.post("/v1/subjects", headers=server.authorization, json={"id": user})
    http.post(f"/v1/subjects/{user}/disable", headers=server.authorization)

    assert_problem(link(http, server, device["id"], {"subject": user}), 403, "subject_disabled")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_body"),
        ({"subject": 5}, "invalid_body"),
        ({"subject": ""}, "invalid_body"),
        ({"subject": "a", "acr": "2"}, "invalid_body"),
        ({"subject": "a\nb"}, "invalid_body"),
    ],
)
def test_a_link_of_a_wrong_shape_is_refused(
    http: httpx.Client, server: ServerProcess, body: dict[str, object], code: str
) -> None:
    device = shown(http, opened(http, a_device()))

    assert_problem(link(http, server, device["id"], body), 400, code)


def test_a_device_does_not_link_itself(http: httpx.Client, server: ServerProcess) -> None:
    token = opened(http, a_device())
    path = f"/v1/sessions/{shown(http, token)['id']}/link"

    own = http.post(path, headers={"Authorization": f"Bearer {token}"}, json={"subject": "alice"})

    assert_problem(own, 403, "server_key_required")
    assert_problem(http.post(path, json={"subject": "alice"}), 401, "credential_required")
    assert shown(http, token)["kind"] == "device"


def test_another_projects_device_is_unknown(http: httpx.Client, server: ServerProcess) -> None:
    project = f"shop-{uuid.uuid4()}"
    assert server.run("projects", "add", project).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": project}
    device = shown(http, opened(http, a_device()))

    answer = http.post(f"/v1/sessions/{device['id']}/link", headers=operator, json={"subject": "alice"})

    assert_problem(answer, 404, "session_unknown")


def anonymous(http: httpx.Client, server: ServerProcess, **members: object) -> dict[str, Any]:
    """Return a create's answer for a subject that nobody knows by name."""
    made = http.post("/v1/subjects", headers=server.authorization, json={"anonymous": True}).json()
    order = {"subject": made["subject"]["id"]} | members
    body: dict[str, Any] = http.post("/v1/sessions", headers=server.authorization, json=order).json()
    return body


def test_an_anonymous_session_goes_on_as_the_user_with_new_tokens(
    http: httpx.Client, server: ServerProcess
) -> None:
    former, user = anonymous(http, server, metadata={"cart": 7}), a_user()

    body = linked(http, server, former["session"]["id"], user)
    again = linked(http, server, former["session"]["id"], user)

    assert (body["session"]["subject"], body["session"]["metadata"]) == (user, {"cart": 7})
    assert body["linked_from"] == former["session"]["subject"]
    assert again["refresh_token"] == body["refresh_token"]
    assert shown(http, body["access_token"])["id"] == body["session"]["id"]
    assert_problem(session_of(http, former["access_token"]), 401, "session_revoked")


def test_no_tokens_are_told_once_they_were_refreshed(http: httpx.Client, server: ServerProcess) -> None:
    former, user = anonymous(http, server), a_user()
    body = linked(http, server, former["session"]["id"], user)
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": body["refresh_token"]})
    assert refreshed.status_code == 200, refreshed.text

    again = linked(http, server, former["session"]["id"], user)

    assert again["session"]["id"] == body["session"]["id"]
    assert set(again) == {"session", "linked_from"}


def test_an_anonymous_browser_gets_a_new_cookie(http: httpx.Client, server: ServerProcess) -> None:
    former = anonymous(http, server, delivery="cookie")
    http.cookies.clear()

    answer = link(http, server, former["session"]["id"], {"subject": a_user()})

    assert set(answer.json()) == {"session", "linked_from"}
    assert http.get("/v1/session").json()["session"]["id"] == answer.json()["session"]["id"]


def test_who_signed_up_anonymously_at_stack_goes_on_there(http: httpx.Client, server: ServerProcess) -> None:
    stack = server.authorization | {"x-stack-access-type": "server"}
    former = http.post("/auth/anonymous/sign-up", headers=stack).json()
    anyone = {"x-stack-allow-anonymous-user": "true"}
    session = http.get(
        "/v1/session", headers={"Authorization": f"Bearer {former['access_token']}"} | anyone
    ).json()["session"]

    body = linked(http, server, session["id"], a_user())

    assert set(body) == {"session", "linked_from", "refresh_token"}
    renewed = http.post(
        "/auth/sessions/current/refresh",
        headers=stack | {"x-stack-refresh-token": body["refresh_token"]},
    )
    assert renewed.status_code == 200, renewed.text
    assert shown(http, renewed.json()["access_token"])["subject"] == body["session"]["subject"]
