"""Row 15: a neighbour project's key, or another subject's session, finds nothing and alters nothing by any path."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from tests.dialects.oauth_calls import another_project, bearer
from tests.server_process import ServerProcess
from tests.system.main_calls import in_an_hour
from tests.system.operations import Operation, operations_of
from tests.system.things import Things


@pytest.fixture(scope="module")
def things(http: httpx.Client, server: ServerProcess) -> Things:
    return Things(server, http)


BODIES: Mapping[str, Mapping[str, object]] = {
    "/v1/sessions/{id}/link": {"subject": "mallory"},
    "/v1/subjects/{id}/impersonate": {"actor": {"name": "mallory"}, "reason": "curious"},
    "/v1/me/sessions/{id}": {"client": {"name": "mine"}},
    "/api/v1/session-storage/{id}": {"token": "mine", "expires_at": in_an_hour()},
}
ABSENT = "01890000-0000-7000-8000-000000000000"
SUBJECTS_OWN = ("/v1/me/", "/v1/session/", "/api/v1/session-storage")


def named(server: ServerProcess) -> list[Operation]:
    """Return every operation of the native API and the vault whose path names something of a project."""
    found = [each for each in operations_of(server.url) if each.dialect in {"native", "session-storage"}]
    named = [each for each in found if "{id}" in each.template and each.template.count("session-storage") < 2]
    assert len(named) > 20
    return named


def asked(http: httpx.Client, operation: Operation, name: str, headers: Mapping[str, str]) -> httpx.Response:
    body = BODIES.get(operation.template, {}) if operation.takes_body else None
    return http.request(operation.method, operation.with_name(name), headers=headers, json=body)


def said(answer: httpx.Response, name: str) -> tuple[int, str]:
    """Return an answer without the name that was asked for, which it may repeat, and the request's own id."""
    return answer.status_code, answer.text.replace(name, "…").replace(answer.headers["x-request-id"], "…")


def shown_to_its_owner(
    http: httpx.Client, server: ServerProcess, template: str, name: str
) -> tuple[int, str]:
    """Return what its own project sees of it."""
    kind = next(
        each for each in ("subjects", "session-storage", "sessions") if each in f"{template}/sessions"
    )
    path = f"/api/v1/{kind}/{name}" if kind == "session-storage" else f"/v1/{kind}/{name}"
    return said(http.get(path, headers=server.authorization), name)


def test_row_15_what_is_another_projects_looks_like_what_there_is_not(
    http: httpx.Client, server: ServerProcess, things: Things
) -> None:
    key = bearer(another_project(server)[1])
    for operation in named(server):
        if operation.template.startswith(("/v1/me/", "/v1/session/")):
            continue
        thing = things.named_by(operation.template, things.holder())
        assert thing is not None
        before = shown_to_its_owner(http, server, operation.template, thing.name)

        there, absent = asked(http, operation, thing.name, key), asked(http, operation, ABSENT, key)

        assert said(there, thing.name) == said(absent, ABSENT), operation
        assert there.status_code == 404 or (there.status_code, operation.method) == (204, "DELETE"), operation
        assert shown_to_its_owner(http, server, operation.template, thing.name) == before, operation


def test_row_15_what_is_another_subjects_looks_like_what_there_is_not(
    http: httpx.Client, server: ServerProcess, things: Things
) -> None:
    for operation in named(server):
        owner, stranger = things.holder(), things.holder()
        thing = things.named_by(operation.template, owner)
        assert thing is not None
        before = shown_to_its_owner(http, server, operation.template, thing.name)
        own = operation.template.startswith(SUBJECTS_OWN)

        for headers in (stranger.headers["session"], stranger.headers["browser"] if own else {}):
            http.cookies.clear()
            there, absent = (
                asked(http, operation, thing.name, headers),
                asked(http, operation, ABSENT, headers),
            )

            assert said(there, thing.name) == said(absent, ABSENT), operation
            assert there.status_code in ({404} if own else {401, 403}), operation
        assert shown_to_its_owner(http, server, operation.template, thing.name) == before, operation
