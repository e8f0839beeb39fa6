"""From where each act of the API was done, as the audit tells it: over TCP, behind a trusted proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.dialects.acts import ACTS, SILENT, Ask, House
from tests.dialects.browser_calls import without_a_jar
from tests.dialects.native_calls import bearer
from tests.server_process import ServerProcess
from tests.till import with_user

PLACES = {operation: f"198.51.100.{number}" for number, operation in enumerate(ACTS, start=1)}
OTHERS = ("sessiond", "cli")
"""Who does something without a network."""


class Audit:
    """What the events of a server told after every act was done once, each from its own place."""

    def __init__(self, server: ServerProcess, http: httpx.Client) -> None:
        self.http = http
        self.house = House(server, http)
        self.failed = {operation: self._done(operation) for operation in ACTS}
        self.events = self._events()

    def _done(self, operation: str) -> str | None:
        """Do it, and return what went wrong, if anything."""
        ask: Ask = ACTS[operation][1](self.house)
        answer = self.http.request(
            operation.partition(" ")[0],
            ask.path,
            headers={**ask.headers, "X-Forwarded-For": PLACES[operation]},
            json=ask.json,
            data=ask.form,
        )
        if operation == "POST /api/token/regenerate":
            self.house.operator = bearer(answer.json()["token"])
        return None if answer.is_success else f"{answer.status_code} {answer.text}"

    def _events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: str | None = "0"
        while after is not None:
            query = {"after": after, "limit": "100"}
            page = self.http.get("/v1/events", headers=self.house.operator, params=query).json()
            found, after = found + page["items"], page["next"]
        return found

    def told_from(self, place: str) -> list[dict[str, Any]]:
        """Return the events of what was done there, and of who was created by signing in there."""
        there = [event for event in self.events if whence(event) == place]
        sessions = {event["session"] for event in there if event["type"] == "session.issued"}
        return there + [
            event for event in self.events if by_signing_in(event) and event["session"] in sessions
        ]


def whence(event: dict[str, Any]) -> str | None:
    """Return from where it was done, as an operator reads it."""
    data = event["data"]
    place: str | None = data.get("by_address", data.get("address"))
    return place


def by_signing_in(event: dict[str, Any]) -> bool:
    """Tell whether the event is of a change whose sign-in tells the place."""
    return event["type"] == "subject.created" and event["session"] is not None and whence(event) is None


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    trusting = {"SESSIOND_TRUSTED_PROXIES": "127.0.0.1"}
    with (
        ServerProcess.started(tmp_path_factory.mktemp("whereabouts"), settings=trusting) as server,
        without_a_jar(server) as http,
    ):
        yield Audit(with_user(server), http)


def test_every_operation_is_an_act_or_changes_nothing(audit: Audit) -> None:
    paths = audit.http.get("/openapi.json").json()["paths"]
    operations = {
        f"{method.upper()} {path}"
        for path, item in paths.items()
        if not is_alias(path, paths)
        for method in item
    }
    assert operations == ACTS.keys() | SILENT, "say in tests/dialects/acts.py what is told of it"


def is_alias(path: str, paths: dict[str, Any]) -> bool:
    """Tell whether *path* is another's second name."""
    rest = path.removeprefix("/api/v1")
    return rest != path and (f"/api{rest}" in paths or rest in paths or path.count("/session-storage") > 1)


@pytest.mark.parametrize("operation", ACTS)
def test_the_act_is_told_with_the_client_s_address(audit: Audit, operation: str) -> None:
    assert audit.failed[operation] is None
    assert {event["type"] for event in audit.told_from(PLACES[operation])} == ACTS[operation][0]


def test_nothing_is_told_without_a_place_but_what_came_over_no_network(audit: Audit) -> None:
    placeless = [event for event in audit.events if whence(event) is None and not by_signing_in(event)]
    placeless = [event for event in placeless if "rewritten" not in event["data"]]  # of who is erased
    assert [event for event in placeless if event["by"] not in OTHERS] == []


def test_what_the_command_line_did_is_told_as_its_own(audit: Audit) -> None:
    added = [event for event in audit.events if event["type"] == "pin.set"]
    assert [(event["by"], whence(event)) for event in added] == [("cli", None)]


def test_a_server_key_s_acts_name_the_key_that_was_shown(audit: Audit) -> None:
    place = PLACES["POST /v1/subjects/{id}/disable"]
    [event] = audit.told_from(place)
    listed = audit.house.server.run("server-keys", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert event["by"] == "server_key:seeded"
    assert event["data"]["by_key"] in listed.stdout


def seen_from(place: str, who: dict[str, str]) -> dict[str, str]:
    """Return the headers of *who*, asking from *place*."""
    return who | {"X-Forwarded-For": place}


def test_from_where_the_operator_works_no_server_key_learns(audit: Audit) -> None:
    house, office, shop = audit.house, "203.0.113.1", "203.0.113.2"
    holder = house.holder()
    by_operator = seen_from(office, house.operator)
    audit.http.patch(f"/v1/sessions/{holder.id}", headers=by_operator, json={"metadata": {"a": 1}})
    audit.http.delete(f"/v1/sessions/{holder.id}", headers=seen_from(shop, house.key))

    path = f"/v1/sessions/{holder.id}/timeline"
    to_operator, to_key = (
        audit.http.get(path, headers=who).json()["items"] for who in (house.operator, house.key)
    )
    exported = audit.http.get(f"/v1/subjects/{holder.subject}/export", headers=house.key)

    assert [whence(event) for event in to_operator[-2:]] == [office, shop]
    assert [whence(event) for event in to_key[-2:]] == [None, shop]
    assert {"by_key"} == to_key[-1]["data"].keys() - {"by_address"}
    assert office not in exported.text
    assert shop not in exported.text


def test_who_robbed_a_user_is_told_after_the_user_was_erased(audit: Audit) -> None:
    house, robber, home = audit.house, "203.0.113.66", "203.0.113.3"
    holder = house.holder(client={"address": home})
    entry = house.entry(holder.subject)
    audit.http.get(f"/api/v1/session-storage/{entry}", headers=seen_from(robber, house.key))
    audit.http.delete("/v1/session", headers=seen_from(home, dict(holder.headers)))

    audit.http.delete(f"/v1/subjects/{holder.subject}", headers=seen_from(robber, house.key))

    query = {"type": "vault.read", "limit": "100"}
    reads = audit.http.get("/v1/events", headers=house.operator, params=query).json()["items"]
    [read] = [event for event in reads if event["data"]["entry"] == entry]
    assert (whence(read), read["subject"].partition("_")[0]) == (robber, "erased")
    verified = audit.http.get("/v1/events/verify", headers=house.operator, timeout=120).json()
    assert (verified["sound"], verified["findings"]) == (True, 0)
    everything = house.server.run("audit", "export")
    assert everything.returncode == 0, everything.stderr
    assert robber in everything.stdout
    assert home not in everything.stdout
    assert holder.subject not in everything.stdout


def test_an_application_that_names_another_client_is_told_beside_it(audit: Audit) -> None:
    subject = "named-by-an-application"
    asked = {"subject": subject, "client": {"address": "203.0.113.4"}}
    audit.http.post("/v1/sessions", headers=seen_from("203.0.113.5", audit.house.key), json=asked)

    query = {"subject": subject, "type": "session.issued"}
    [issued] = audit.http.get("/v1/events", headers=audit.house.operator, params=query).json()["items"]
    assert (issued["data"]["address"], issued["data"]["by_address"]) == ("203.0.113.4", "203.0.113.5")


@pytest.mark.parametrize("door", ["/v1/session/refresh", "/oauth/token"])
def test_from_where_a_replaced_refresh_token_came_is_told(audit: Audit, door: str) -> None:
    holder, thief = audit.house.holder(), "203.0.113.6"

    def refreshed(token: str, place: str = "127.0.0.1") -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        sent: dict[str, Any] = (
            {"json": {"refresh_token": token}} if door.startswith("/v1") else {"data": form}
        )
        return audit.http.post(door, headers=seen_from(place, {}), **sent)

    second = refreshed(holder.refresh_token).json()["refresh_token"]
    assert refreshed(second).is_success
    assert not refreshed(holder.refresh_token, thief).is_success

    query = {"subject": holder.subject, "type": "session.refresh_reused"}
    [reused] = audit.http.get("/v1/events", headers=audit.house.operator, params=query).json()["items"]
    assert (reused["by"], whence(reused)) == ("sessiond", thief)
