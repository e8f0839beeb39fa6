"""A project's policy over the native API: read, replaced, changed, returned; validated as the configuration is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.dialects.native_calls import Holder, assert_problem, bearer, created
from tests.dialects.oauth_calls import another_project
from tests.server_process import ServerProcess

PATH = "/v1/policy"
CONFIGURED = {
    "policy": {
        "preset": "aal1",
        "absolute_timeout_seconds": 2_592_000,
        "idle_timeout_seconds": None,
        "access_token_lifetime_seconds": 600,
        "grace_seconds": 30,
        "max_sessions": None,
        "on_limit": "evict_oldest",
        "justification": None,
    },
    "source": "configuration",
}


@pytest.fixture
def operator(server: ServerProcess, http: httpx.Client) -> Iterator[dict[str, str]]:
    headers = bearer(server.master_token)
    yield headers
    http.delete(PATH, headers=headers)


def changed(http: httpx.Client, headers: dict[str, str], method: str, body: object) -> dict[str, Any]:
    answer = http.request(method, PATH, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_without_one_of_its_own_a_project_has_the_configured_policy(
    http: httpx.Client, server: ServerProcess
) -> None:
    assert http.get(PATH, headers=server.authorization).json() == CONFIGURED


def test_a_policy_of_its_own_has_what_its_preset_says_where_nothing_else_is_said(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    shown = changed(http, operator, "PUT", {"preset": "aal2", "max_sessions": 3, "on_limit": "deny"})

    assert shown["source"] == "project"
    assert shown["policy"] == CONFIGURED["policy"] | {  # type: ignore[operator]
        "preset": "aal2",
        "absolute_timeout_seconds": 86_400,
        "idle_timeout_seconds": 3600,
        "max_sessions": 3,
        "on_limit": "deny",
    }
    assert http.get(PATH, headers=server.authorization).json() == shown


def test_a_patch_changes_what_it_names(http: httpx.Client, operator: dict[str, str]) -> None:
    changed(http, operator, "PATCH", {"access_token_lifetime_seconds": 60, "max_sessions": 2})

    shown = changed(http, operator, "PATCH", {"max_sessions": None})

    assert shown["policy"] == CONFIGURED["policy"] | {"access_token_lifetime_seconds": 60}  # type: ignore[operator]


def test_another_preset_brings_its_timeouts_along(http: httpx.Client, operator: dict[str, str]) -> None:
    changed(http, operator, "PATCH", {"absolute_timeout_seconds": 2_000_000, "grace_seconds": 7})

    shown = changed(http, operator, "PATCH", {"preset": "aal3", "idle_timeout_seconds": 60})

    assert shown["policy"] == CONFIGURED["policy"] | {  # type: ignore[operator]
        "preset": "aal3",
        "absolute_timeout_seconds": 43_200,
        "idle_timeout_seconds": 60,
        "grace_seconds": 7,
    }


def test_without_its_own_the_project_returns_to_the_configured_policy(
    http: httpx.Client, operator: dict[str, str]
) -> None:
    changed(http, operator, "PUT", {"preset": "aal3"})

    assert http.delete(PATH, headers=operator).json() == CONFIGURED
    assert http.delete(PATH, headers=operator).json() == CONFIGURED
    assert http.get(PATH, headers=operator).json() == CONFIGURED


def test_sessions_keep_the_limits_of_their_birth_and_new_ones_have_the_new(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    old = Holder(http, server)
    before = old.ask("GET", "/v1/session").json()["session"]["expires_at"]

    changed(http, operator, "PUT", {"preset": "aal3", "access_token_lifetime_seconds": 60})

    assert old.ask("GET", "/v1/session").json()["session"]["expires_at"] == before
    new = created(http, server).json()
    assert new["session"]["idle_timeout_seconds"] == 900
    assert new["expires_in"] == 60
    refreshed = http.post("/v1/session/refresh", json={"refresh_token": old.refresh_token})
    assert refreshed.json()["expires_in"] == 60


def test_a_session_limit_counts_from_the_next_sign_in(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    first = Holder(http, server)
    second = Holder(http, server, subject=first.subject)

    changed(http, operator, "PATCH", {"max_sessions": 1})
    states = first.state(), second.state()
    third = Holder(http, server, subject=first.subject)

    assert states == ("live", "live")
    assert (first.state(), second.state(), third.state()) == ("session_revoked", "session_revoked", "live")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"absolute_timeout_seconds": 2_592_001}, ["/absolute_timeout_seconds"]),
        (
            {"preset": "aal2", "absolute_timeout_seconds": 100_000, "idle_timeout_seconds": None},
            ["/absolute_timeout_seconds", "/idle_timeout_seconds"],
        ),
        ({"preset": "custom", "absolute_timeout_seconds": 31_536_000}, ["/justification"]),
        ({"preset": "custom", "justification": "   "}, ["/justification"]),
        ({"preset": "custom", "justification": "two\nlines"}, ["/justification"]),
        ({"absolute_timeout_seconds": 60}, ["/access_token_lifetime_seconds"]),
        (
            {"preset": "aal9", "grace_seconds": 301, "max_sessions": 0, "timeout": 1},
            ["/preset", "/grace_seconds", "/max_sessions", "/timeout"],
        ),
        ({"absolute_timeout_seconds": None}, ["/absolute_timeout_seconds"]),
        ({"idle_timeout_seconds": 0.5}, ["/idle_timeout_seconds"]),
        ({"absolute_timeout_seconds": 10**12}, ["/absolute_timeout_seconds"]),
    ],
)
def test_every_fault_of_a_policy_is_named_and_nothing_is_changed(
    http: httpx.Client, operator: dict[str, str], body: dict[str, object], pointers: list[str]
) -> None:
    answer = http.put(PATH, headers=operator, json=body)

    assert_problem(answer, 400, "invalid_body")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert http.get(PATH, headers=operator).json() == CONFIGURED


def test_going_beyond_nist_needs_a_reason_and_keeps_it(http: httpx.Client, operator: dict[str, str]) -> None:
    kiosk = {
        "preset": "custom",
        "absolute_timeout_seconds": 31_536_000,
        "justification": "a wall panel without a keyboard",
    }

    shown = changed(http, operator, "PUT", kiosk)

    assert kiosk.items() <= shown["policy"].items()


def test_a_change_that_is_meant_for_another_policy_is_refused(
    http: httpx.Client, operator: dict[str, str]
) -> None:
    seen = http.get(PATH, headers=operator).headers["etag"]
    changed(http, operator, "PATCH", {"grace_seconds": 5})

    for method in ("PUT", "PATCH", "DELETE"):
        stale = http.request(method, PATH, headers=operator | {"If-Match": seen}, json={})
        assert_problem(stale, 412, "precondition_failed")
    now = http.get(PATH, headers=operator).headers["etag"]
    fresh = http.patch(PATH, headers=operator | {"If-Match": now}, json={"grace_seconds": 6})
    assert (fresh.status_code, fresh.json()["policy"]["grace_seconds"]) == (200, 6)
    assert fresh.headers["etag"] not in {seen, now}
    any_ = http.patch(PATH, headers=operator | {"If-Match": "*"}, json={"grace_seconds": 7})
    assert any_.status_code == 200
    assert_problem(http.patch(PATH, headers=operator | {"If-Match": "7"}, json={}), 400, "malformed_header")


def test_an_application_reads_the_policy_and_does_not_change_it(
    http: httpx.Client, server: ServerProcess
) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        answer = http.request(method, PATH, headers=server.authorization, json={})
        assert_problem(answer, 403, "operator_required")
    holder = Holder(http, server)
    assert_problem(http.get(PATH, headers=holder.headers), 403, "server_key_required")
    assert_problem(http.get(PATH), 401, "credential_required")


def test_projects_have_policies_of_their_own(
    http: httpx.Client, server: ServerProcess, operator: dict[str, str]
) -> None:
    project, key = another_project(server)

    changed(http, operator | {"Sessiond-Project": project}, "PUT", {"preset": "aal3"})

    assert http.get(PATH, headers=bearer(key)).json()["policy"]["preset"] == "aal3"
    assert http.get(PATH, headers=server.authorization).json() == CONFIGURED
