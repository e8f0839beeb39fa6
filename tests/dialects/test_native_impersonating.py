"""Impersonation, over TCP against a real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
from typer.testing import CliRunner

from sessiond.cli.root import app
from sessiond.crypto import jws
from tests.dialects.native_calls import Holder, a_subject, assert_problem, bearer
from tests.dialects.oauth_calls import Calls
from tests.dialects.vault_calls import PATH as VAULT
from tests.dialects.vault_calls import a_body
from tests.server_process import ServerProcess

CAROL = {"actor": {"name": "carol@support.example"}, "reason": "cannot sign in", "ticket": "T-1"}


def impersonate(
    http: httpx.Client, server: ServerProcess, subject: str, body: object = CAROL, **headers: str
) -> httpx.Response:
    path = f"/v1/subjects/{quote(subject, safe='')}/impersonate"
    return http.post(path, headers=server.authorization | headers, json=body)


def impersonated(
    http: httpx.Client, server: ServerProcess, subject: str, **members: object
) -> dict[str, Any]:
    answer = impersonate(http, server, subject, CAROL | members)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def shown(http: httpx.Client, token: str) -> httpx.Response:
    return http.get("/v1/session", headers=bearer(token))


def claims_of(token: str) -> Mapping[str, object]:
    unverified = jws.peek(token)
    assert unverified is not None
    return unverified.claims


def test_who_acts_is_shown_wherever_the_session_is(http: httpx.Client, server: ServerProcess) -> None:
    alice, bob = Holder(http, server), Holder(http, server)

    body = impersonated(
        http,
        server,
        alice.subject,
        actor={"session": bob.id, "actor": {"name": "erin", "actor": {"name": "frank"}}},
    )

    actor = {
        "name": bob.subject,
        "reason": "cannot sign in",
        "ticket": "T-1",
        "subject": bob.subject,
        "session": bob.id,
        "actor": {"name": "erin", "actor": {"name": "frank", "actor": None}},
    }
    assert (body["session"]["subject"], body["session"]["actor"]) == (alice.subject, actor)
    assert shown(http, body["access_token"]).json()["session"]["actor"] == actor
    mine = alice.ask("GET", "/v1/me/sessions").json()["items"]
    assert {item["id"]: item["actor"] for item in mine} == {alice.id: None, body["session"]["id"]: actor}
    one = http.get(f"/v1/sessions/{body['session']['id']}", headers=server.authorization).json()
    assert one["session"]["actor"] == actor
    verified = http.get("/v1/verify", headers=bearer(body["access_token"]))
    assert verified.headers["x-session-actor"] == bob.subject


def test_introspection_and_jwts_nest_the_act_claim(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)
    nested = {"name": "carol", "actor": {"name": "dave"}}
    body = impersonated(http, server, alice.subject, actor=nested, format="jwt")
    oauth = Calls(http, server)

    told = oauth.introspect(body["access_token"]).json()
    child = oauth.exchange(body["access_token"]).json()["access_token"]

    act = {"sub": "carol", "act": {"sub": "dave"}}
    assert [claims_of(token)["act"] for token in (body["access_token"], child)] == [act, act]
    assert shown(http, body["access_token"]).json()["session"] == body["session"]
    assert told["act"] == act
    assert oauth.introspect(child).json()["act"] == act


def test_a_create_with_an_actor_is_an_impersonation(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)

    answer = http.post(
        "/v1/sessions", headers=server.authorization, json={"subject": alice.subject, "acr": "low"} | CAROL
    )

    session = answer.json()["session"]
    assert (session["actor"]["name"], session["acr"]) == ("carol@support.example", "low")
    assert session["expires_at"] < alice.ask("GET", "/v1/session").json()["session"]["expires_at"]
    unknown = http.post("/v1/sessions", headers=server.authorization, json={"subject": a_subject()} | CAROL)
    assert_problem(unknown, 404, "subject_unknown")


def test_a_cookie_impersonates_too(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)

    answer = impersonate(http, server, alice.subject, CAROL | {"delivery": "cookie"})
    http.cookies.clear()

    assert list(answer.json()) == ["session"]
    seen = http.get("/v1/session", headers={"Cookie": f"sid={answer.cookies['sid']}"})
    assert seen.json()["session"]["actor"]["name"] == "carol@support.example"


def test_it_ends_with_the_actor_s_session_also_by_the_command_line(
    http: httpx.Client, server: ServerProcess
) -> None:
    alice, bob, rob = Holder(http, server), Holder(http, server), Holder(http, server)
    tokens = [
        impersonated(http, server, alice.subject, actor={"session": each.id})["access_token"]
        for each in (bob, rob)
    ]
    assert [shown(http, token).status_code for token in [*tokens, *tokens]] == [200] * 4

    assert bob.ask("DELETE", "/v1/session").status_code == 204
    assert_problem(shown(http, tokens[0]), 401, "actor_session_ended")

    done = CliRunner().invoke(app, ["sessions", "revoke", rob.id], env=server.command_environment)
    assert done.exit_code == 0, done.stderr
    assert_problem(shown(http, tokens[1]), 401, "actor_session_ended")
    assert alice.state() == "live"


def test_what_outlasts_or_widens_it_is_refused(http: httpx.Client, server: ServerProcess) -> None:
    alice, carol = Holder(http, server), Holder(http, server)
    body = impersonated(http, server, alice.subject)
    session, own = body["session"]["id"], bearer(body["access_token"])
    key = server.authorization
    name = {"client": {"name": "mine"}}

    refusals = [
        http.post(f"/v1/sessions/{session}/extend", headers=key),
        http.post(f"/v1/sessions/{session}/authenticate", headers=key, json={}),
        impersonate(http, server, carol.subject, CAROL | {"actor": {"session": session}}),
        http.patch(f"/v1/me/sessions/{session}", headers=own, json=name),
        http.delete(f"/v1/me/sessions/{alice.id}", headers=own),
        http.delete("/v1/me/sessions", headers=own),
    ]

    for refusal in refusals:
        assert_problem(refusal, 403, "impersonated")
    assert alice.state() == "live"
    assert http.delete("/v1/session", headers=own).status_code == 204


def test_it_reads_no_token_of_the_vault(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)
    saved = http.post(VAULT, headers=server.authorization, json=a_body(alice.subject))
    assert saved.status_code == 201
    entry = saved.json()["id"]
    own = bearer(impersonated(http, server, alice.subject)["access_token"])

    refused = [
        http.get(f"{VAULT}/{entry}", headers=own),
        http.delete(f"{VAULT}/{entry}", headers=own),
        http.post(VAULT, headers=own, json=a_body(alice.subject)),
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert alice.ask("GET", f"{VAULT}/{entry}").status_code == 200


def test_every_fault_of_who_acts_is_named(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)
    deep: dict[str, object] = {"name": "n"}
    for _ in range(5):
        deep = {"name": "n", "actor": deep}

    def pointers(body: object) -> set[str]:
        answer = impersonate(http, server, alice.subject, body)
        assert_problem(answer, 400, "invalid_body")
        return {error["pointer"] for error in answer.json()["errors"]}

    assert pointers({}) == {"/actor", "/reason"}
    assert pointers(CAROL | {"actor": {}}) == {"/actor"}
    assert pointers(CAROL | {"actor": {"name": "c", "session": alice.id}}) == {"/actor"}
    assert pointers(CAROL | {"actor": {"session": "nonsense"}, "ticket": "a\u0000"}) == {
        "/actor/session",
        "/ticket",
    }
    assert pointers(CAROL | {"actor": {"name": "c", "actor": {"name": "a\u0000"}}}) == {"/actor/actor/name"}
    assert pointers(CAROL | {"actor": deep}) == {"/actor"}
    assert pointers(CAROL | {"actor": {"name": "\u00fc" * 256, "actor": {"name": "n"}}}) == {"/actor"}
    assert pointers(CAROL | {"acr": "gold", "reason": ""}) == {"/acr", "/reason"}


def test_a_create_needs_a_reason_with_an_actor_and_an_actor_with_a_reason(
    http: httpx.Client, server: ServerProcess
) -> None:
    def pointers(**members: object) -> set[str]:
        body = {"subject": a_subject()} | members
        answer = http.post("/v1/sessions", headers=server.authorization, json=body)
        assert_problem(answer, 400, "invalid_body")
        return {error["pointer"] for error in answer.json()["errors"]}

    assert pointers(actor={"name": "carol"}) == {"/reason"}
    assert pointers(actor={"name": "carol"}, reason=" ") == {"/reason"}
    assert pointers(reason="r", ticket="T-1") == {"/reason", "/ticket"}


def test_only_the_application_impersonates_and_the_operator(
    http: httpx.Client, server: ServerProcess
) -> None:
    alice = Holder(http, server)

    by_alice = alice.ask("POST", f"/v1/subjects/{alice.subject}/impersonate", json=CAROL)
    by_operator = http.post(
        f"/v1/subjects/{alice.subject}/impersonate", headers=bearer(server.master_token), json=CAROL
    )

    assert_problem(by_alice, 403, "server_key_required")
    assert by_operator.status_code == 201


def test_a_retry_with_its_key_gets_the_same_session(http: httpx.Client, server: ServerProcess) -> None:
    alice = Holder(http, server)
    key = {"Idempotency-Key": f"impersonation-of-{alice.subject}"}

    first = impersonate(http, server, alice.subject, **key).json()
    again = impersonate(http, server, alice.subject, **key).json()

    assert first["session"] == again["session"]
    other = impersonate(http, server, alice.subject, CAROL | {"ticket": "T-2"}, **key)
    assert_problem(other, 422, "idempotency_key_reused")
