"""Sessions that an application changes, over TCP: merge patches of name and metadata, and longer lives."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.dialects.native_calls import Holder, assert_problem, created
from tests.server_process import ServerProcess

UNKNOWN = "01a1fc85-811b-7509-b712-5abdc87c645d"


class Application:
    """What a backend does to one session."""

    def __init__(self, http: httpx.Client, server: ServerProcess, **members: object) -> None:
        self._http = http
        self._key = server.authorization
        self.session = created(http, server, **members).json()["session"]
        self.path = f"/v1/sessions/{self.session['id']}"

    def patch(self, body: object, media: str = "application/merge-patch+json") -> httpx.Response:
        headers = self._key | {"Content-Type": media}
        return self._http.patch(self.path, headers=headers, content=json.dumps(body))

    def extend(self, body: object = None) -> httpx.Response:
        return self._http.post(f"{self.path}/extend", headers=self._key, json=body)

    def life(self) -> timedelta:
        shown = self._http.get(self.path, headers=self._key).json()["session"]
        return datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])


@pytest.mark.parametrize("media", ["application/merge-patch+json", "application/json"])
def test_metadata_is_merged(http: httpx.Client, server: ServerProcess, media: str) -> None:
    application = Application(http, server, metadata={"a": 1, "b": {"c": 2, "d": 3}, "e": [1]})

    patched = application.patch({"metadata": {"a": None, "b": {"c": 4}, "e": [2, None], "f": "new"}}, media)

    assert patched.status_code == 200, patched.text
    assert patched.json()["session"]["metadata"] == {"b": {"c": 4, "d": 3}, "e": [2, None], "f": "new"}


def test_a_number_becomes_the_truth_value_or_fraction_that_python_takes_for_it(
    http: httpx.Client, server: ServerProcess
) -> None:
    application = Application(http, server, metadata={"a": 1, "b": [0], "c": 2})

    patched = application.patch({"metadata": {"a": True, "b": [False], "c": 2.0}})

    assert '"metadata":{"a":true,"b":[false],"c":2.0}' in patched.text


def test_what_a_patch_does_not_name_stays(http: httpx.Client, server: ServerProcess) -> None:
    application = Application(http, server, metadata={"a": 1}, client={"name": "x", "address": "::1"})

    application.patch({"client": {"name": "y"}})
    unchanged = application.patch({}).json()["session"]
    cleared = application.patch({"metadata": None, "client": {"name": None}}).json()["session"]

    assert (unchanged["metadata"], unchanged["client"]["name"]) == ({"a": 1}, "y")
    assert (cleared["metadata"], cleared["client"]["name"]) == ({}, None)
    assert cleared["client"]["address"] == "::1"


def test_a_holder_sees_a_patch_at_once_and_stays_signed_in(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)
    assert holder.state() == "live"

    http.patch(f"/v1/sessions/{holder.id}", headers=server.authorization, json={"metadata": {"plan": "pro"}})

    assert holder.ask("GET", "/v1/session").json()["session"]["metadata"] == {"plan": "pro"}
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token})
    assert refreshed.status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"x": "y" * 4096}}, "/metadata"),
        ({"client": {"name": "a\nb"}}, "/client/name"),
        ({"client": None}, "/client"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, "/expires_at"),
        ({"subject": "mallory"}, "/subject"),
    ],
)
def test_a_patch_of_a_wrong_shape_is_refused(
    http: httpx.Client, server: ServerProcess, body: dict[str, Any], pointer: str
) -> None:
    answer = Application(http, server).patch(body)

    assert_problem(answer, 400, "invalid_body")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_metadata_does_not_grow_beyond_4_kib_by_patches(http: httpx.Client, server: ServerProcess) -> None:
    application = Application(http, server, metadata={"x": "y" * 3000})

    answer = application.patch({"metadata": {"z": "y" * 3000}})

    assert_problem(answer, 400, "invalid_metadata")
    assert answer.json()["errors"][0]["pointer"] == "/metadata"
    assert "z" not in application.patch({}).json()["session"]["metadata"]


def test_a_session_is_extended_up_to_the_policys_limit_and_never_shortened(
    http: httpx.Client, server: ServerProcess
) -> None:
    application = Application(http, server, absolute_timeout_seconds=600)

    assert application.extend({"lifetime_seconds": 60}).status_code == 200
    assert application.life() == timedelta(minutes=10)
    application.extend({"lifetime_seconds": 3600})
    assert timedelta(hours=1) <= application.life() < timedelta(hours=2)
    application.extend({"lifetime_seconds": 10**8})
    assert application.life() == timedelta(days=30)


def test_without_a_number_a_session_lives_as_long_as_may_be(
    http: httpx.Client, server: ServerProcess
) -> None:
    application = Application(http, server, absolute_timeout_seconds=600)

    extended = application.extend()

    assert extended.status_code == 200
    assert application.life() == timedelta(days=30)


def test_the_tokens_of_the_next_refresh_have_the_new_limit(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server, absolute_timeout_seconds=300)
    http.post(f"/v1/sessions/{holder.id}/extend", headers=server.authorization)

    refreshed = http.post("/v1/session/refresh", json={"refresh_token": holder.refresh_token}).json()

    assert refreshed["expires_in"] == 600


def test_a_cookie_session_is_not_extended(http: httpx.Client, server: ServerProcess) -> None:
    application = Application(http, server, delivery="cookie", absolute_timeout_seconds=600)

    assert_problem(application.extend(), 409, "session_not_extendable")


def test_an_ended_session_is_neither_patched_nor_extended(http: httpx.Client, server: ServerProcess) -> None:
    application = Application(http, server)
    http.delete(application.path, headers=server.authorization)

    assert_problem(application.patch({"metadata": {}}), 409, "session_ended")
    assert_problem(application.extend(), 409, "session_ended")


@pytest.mark.parametrize(("method", "end"), [("PATCH", ""), ("POST", "/extend")])
def test_changing_takes_a_server_key_and_a_session_of_its_project(
    http: httpx.Client, server: ServerProcess, method: str, end: str
) -> None:
    holder = Holder(http, server)
    path = f"/v1/sessions/{holder.id}{end}"

    assert_problem(holder.ask(method, path, json={}), 403, "server_key_required")
    assert_problem(http.request(method, path, json={}), 401, "credential_required")
    unknown = http.request(method, f"/v1/sessions/{UNKNOWN}{end}", headers=server.authorization, json={})
    assert_problem(unknown, 404, "session_unknown")
