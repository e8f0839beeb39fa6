"""Stepping up, over TCP against a real server."""

from __future__ import annotations

import httpx

from tests.dialects.native_calls import Holder, assert_problem, bearer, created
from tests.server_process import ServerProcess

GOLD = {"acr": "urn:example:gold", "amr": ["pwd", "otp"]}


def authenticate(
    http: httpx.Client, server: ServerProcess, session: str, body: object = None, **headers: str
) -> httpx.Response:
    return http.post(
        f"/v1/sessions/{session}/authenticate", headers=server.authorization | headers, json=body
    )


def test_a_resource_that_was_refused_is_reached_after_a_step_up(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder = Holder(http, server, authenticated_at="2001-01-01T00:00:00Z")
    asked = "/v1/session?acr=urn:example:gold&amr=otp&max_age=300"
    assert_problem(holder.ask("GET", asked), 403, "insufficient_user_authentication")

    answer = authenticate(http, server, holder.id, GOLD)

    assert answer.status_code == 201
    body = answer.json()
    assert body["session"]["id"] != holder.id
    shown = body["session"]
    assert "2002" < shown["authenticated_at"] <= shown["created_at"]  # each reads the clock
    assert answer.headers["location"] == f"/v1/sessions/{body['session']['id']}"
    assert http.get(asked, headers=bearer(body["access_token"])).json()["session"] == body["session"]
    assert_problem(holder.ask("GET", "/v1/session"), 401, "session_revoked")
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token})
    assert_problem(refreshed, 401, "session_revoked")


def test_the_former_session_is_shown_ended_for_that_reason(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    authenticate(http, server, holder.id, {})

    shown = http.get(f"/v1/sessions/{holder.id}", headers=server.authorization).json()

    assert shown["session"]["ended"]["reason"] == "stepped_up"


def test_a_jwt_session_gets_a_jwt_and_no_body_is_an_authentication_now(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder = Holder(http, server, format="jwt", **GOLD)

    body = authenticate(http, server, holder.id).json()

    assert body["access_token"].startswith("eyJ")
    assert (body["session"]["acr"], body["session"]["amr"]) == (GOLD["acr"], GOLD["amr"])


def test_a_browser_gets_one_new_cookie_and_no_token(http: httpx.Client, server: ServerProcess) -> None:
    former = created(http, server, delivery="cookie")
    cookie = former.cookies["sid"]
    http.cookies.clear()

    answer = authenticate(http, server, former.json()["session"]["id"], GOLD)
    http.cookies.clear()

    assert list(answer.json()) == ["session"]
    renewed = answer.cookies["sid"]
    assert http.get("/v1/session", headers={"Cookie": f"sid={renewed}"}).status_code == 200
    assert_problem(http.get("/v1/session", headers={"Cookie": f"sid={cookie}"}), 401, "session_revoked")


def test_a_retry_with_its_key_gets_the_same_session_and_another_body_is_refused(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder, key = Holder(http, server), {"Idempotency-Key": "step-up-of-" + Holder(http, server).id}

    first = authenticate(http, server, holder.id, GOLD, **key)
    again = authenticate(http, server, holder.id, GOLD, **key)

    assert again.json()["session"] == first.json()["session"]
    assert again.json()["refresh_token"] == first.json()["refresh_token"]
    assert_problem(authenticate(http, server, holder.id, {}, **key), 422, "idempotency_key_reused")
    assert_problem(authenticate(http, server, holder.id, GOLD), 409, "session_ended")


def test_what_is_no_authentication_is_refused_with_every_fault(
    http: httpx.Client, server: ServerProcess
) -> None:
    holder = Holder(http, server)

    wrong = authenticate(
        http,
        server,
        holder.id,
        {"acr": "a\u0000b", "amr": ["pwd", "o\u007fp"], "authenticated_at": "2999-01-01T00:00:00Z"},
    )
    unshaped = authenticate(http, server, holder.id, {"acr": None, "amr": "pwd", "level": 3})

    assert_problem(wrong, 400, "invalid_body")
    assert {error["pointer"] for error in wrong.json()["errors"]} == {"/acr", "/amr/1", "/authenticated_at"}
    assert_problem(unshaped, 400, "invalid_body")
    assert {error["pointer"] for error in unshaped.json()["errors"]} == {"/acr", "/amr", "/level"}
    assert holder.state() == "live"


def test_an_authentication_before_the_last_one_is_refused(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    answer = authenticate(http, server, holder.id, {"authenticated_at": "2001-01-01T00:00:00Z"})

    assert_problem(answer, 409, "authentication_outdated")


def test_only_the_application_steps_a_session_up(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    own = holder.ask("POST", f"/v1/sessions/{holder.id}/authenticate", json=GOLD)
    unknown = authenticate(http, server, "01900000-0000-7000-8000-000000000000", GOLD)

    assert_problem(own, 403, "server_key_required")
    assert_problem(unknown, 404, "session_unknown")
    assert holder.state() == "live"
