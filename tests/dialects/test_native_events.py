from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.server_process import ServerProcess


@pytest.fixture
def operator(server: ServerProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.master_token}"}


def listed(server: ServerProcess, operator: dict[str, str], **query: object) -> dict[str, Any]:
    answer = httpx.get(
        f"{server.url}/v1/events", params={k: str(v) for k, v in query.items()}, headers=operator
    )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def issue(server: ServerProcess) -> str:
    subject = f"user-{uuid.uuid4()}"
    asked = httpx.post(f"{server.url}/v1/sessions", json={"subject": subject}, headers=server.authorization)
    assert asked.status_code == 201
    return subject


def test_what_happened_to_a_subject_is_listed_in_pages(
    server: ServerProcess, operator: dict[str, str]
) -> None:
    subject = issue(server)

    found: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        page = listed(server, operator, subject=subject, limit=1, after=after)
        found += page["items"]
        after = page["next"]

    assert [each["type"] for each in found] == ["subject.created", "session.issued"]
    assert {each["subject"] for each in found} == {subject}
    assert found[1]["data"]["address"] == "127.0.0.1"
    assert listed(server, operator, subject=subject, type="session.issued")["items"] == found[1:]
    assert listed(server, operator, subject=subject, until=found[0]["at"])["items"] == []
    assert listed(server, operator, subject=subject, since=found[0]["at"])["items"] == found


def test_the_operator_names_the_project(server: ServerProcess, operator: dict[str, str]) -> None:
    name = f"project-{uuid.uuid4().hex[:12]}"
    assert server.run("projects", "add", name).returncode == 0

    found = listed(server, operator | {"Sessiond-Project": name})["items"]

    assert {each["type"] for each in found} == {"project.created"}


def test_a_check_finds_the_audit_of_a_running_server_sound(
    server: ServerProcess, operator: dict[str, str]
) -> None:
    issue(server)

    answer = httpx.get(f"{server.url}/v1/events/verify", headers=operator, timeout=120)

    told = answer.json()
    assert (answer.status_code, told["sound"], told["findings"], told["faults"]) == (200, True, 0, [])
    assert told["sealed"] + told["unsealed"] >= 2


def test_a_head_that_is_not_in_the_chain_is_found_missing(
    server: ServerProcess, operator: dict[str, str]
) -> None:
    answer = httpx.get(
        f"{server.url}/v1/events/verify", params={"head": f"1:{'0' * 64}"}, headers=operator, timeout=120
    )

    assert (answer.json()["sound"], answer.json()["faults"]) == (
        False,
        [{"fault": "head_other", "sequence": None, "partition": None, "at": None, "type": None, "link": 1}],
    )


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/verify"])
def test_the_audit_is_the_operators(server: ServerProcess, path: str) -> None:
    assert httpx.get(f"{server.url}{path}").status_code == 401
    refused = httpx.get(f"{server.url}{path}", headers=server.authorization)

    assert (refused.status_code, refused.json()["code"]) == (403, "operator_required")


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/v1/events", {"type": "nothing"}, "invalid_query"),
        ("/v1/events", {"limit": "101"}, "invalid_query"),
        ("/v1/events", {"since": "yesterday", "until": "tomorrow"}, "invalid_query"),
        ("/v1/events", {"subject": "a\x01"}, "invalid_query"),
        ("/v1/events", {"after": "-1"}, "invalid_cursor"),
        ("/v1/events", {"after": "9" * 19}, "invalid_cursor"),
        ("/v1/events", {"colour": "red"}, "invalid_query"),
        ("/v1/events/verify", {"head": "12"}, "invalid_query"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    server: ServerProcess, operator: dict[str, str], path: str, query: dict[str, str], code: str
) -> None:
    refused = httpx.get(f"{server.url}{path}", params=query, headers=operator)

    assert (refused.status_code, refused.json()["code"]) == (400, code)
    if code == "invalid_query" and len(query) > 1:
        assert [each["pointer"] for each in refused.json()["errors"]] == [f"/{name}" for name in query]
