"""Lists of a subject's sessions over TCP: filters that must all hold, and pages that no write moves."""

from __future__ import annotations

import httpx
import pytest

from tests.dialects.native_calls import Holder, a_subject, assert_problem, created
from tests.server_process import ServerProcess

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"


class Lists:
    """The lists of one subject."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.subject = a_subject()
        self._http = http
        self._server = server

    def made(self, **members: object) -> dict[str, str]:
        session: dict[str, str] = created(self._http, self._server, subject=self.subject, **members).json()[
            "session"
        ]
        return session

    def end(self, session: dict[str, str]) -> None:
        self._http.delete(f"/v1/sessions/{session['id']}", headers=self._server.authorization)

    def ask(self, **query: str) -> httpx.Response:
        return self._http.get(
            "/v1/sessions", params={"subject": self.subject} | query, headers=self._server.authorization
        )

    def ids(self, **query: str) -> list[str]:
        answer = self.ask(**query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]


@pytest.fixture
def lists(http: httpx.Client, server: ServerProcess) -> Lists:
    return Lists(http, server)


def test_sessions_are_listed_by_state(lists: Lists) -> None:
    ended, live = lists.made(), lists.made()
    lists.end(ended)

    assert lists.ids() == lists.ids(state="live") == [live["id"]]
    assert lists.ids(state="ended") == [ended["id"]]
    assert lists.ids(state="all") == [live["id"], ended["id"]]
    shown = lists.ask(state="ended").json()["items"][0]["ended"]
    assert (shown["code"], shown["reason"]) == ("session_revoked", "revoked")


def test_sessions_that_an_epoch_ended_are_listed_as_ended(
    http: httpx.Client, server: ServerProcess, lists: Lists
) -> None:
    old = lists.made()
    http.delete(f"/v1/subjects/{lists.subject}/sessions?reason=moved", headers=server.authorization)
    new = lists.made()

    assert (lists.ids(), lists.ids(state="ended")) == ([new["id"]], [old["id"]])
    shown = lists.ask(state="ended").json()["items"][0]["ended"]
    assert (shown["code"], shown["reason"]) == ("subject_sessions_revoked", "moved")
    assert old["created_at"] <= shown["at"] <= new["created_at"]


def test_sessions_are_listed_by_kind_and_by_the_name_of_their_client(
    http: httpx.Client, lists: Lists
) -> None:
    tablet = lists.made(client={"name": "Küchen-Tablet"})
    browser = lists.made(delivery="cookie", client={"name": "Firefox"})
    http.cookies.clear()
    lists.made()

    assert lists.ids(kind="browser") == [browser["id"]]
    assert lists.ids(client="KÜCHEN") == [tablet["id"]]
    assert lists.ids(client="tablet", kind="browser") == []


def test_sessions_are_listed_by_when_they_were_created_and_seen(lists: Lists) -> None:
    first, second = lists.made(), lists.made()
    edge = second["created_at"]

    assert lists.ids(created_from=edge, created_before=edge) == []
    assert first["id"] not in lists.ids(created_before=first["created_at"])
    assert second["id"] in lists.ids(created_from=edge)
    assert lists.ids(seen_from="2099-01-01T00:00:00+01:00") == []
    assert lists.ids(seen_before="2099-01-01T00:00:00+01:00") == [second["id"], first["id"]]


def test_pages_stay_as_they_are_while_sessions_come_and_go(lists: Lists) -> None:
    made = [lists.made()["id"] for _ in range(5)]
    first = lists.ask(limit="2").json()

    lists.made()
    lists.end({"id": made[4]})
    second = lists.ask(limit="2", after=first["next"]).json()
    third = lists.ask(limit="2", after=second["next"]).json()

    listed = [item["id"] for page in (first, second, third) for item in page["items"]]
    assert listed == made[::-1]
    assert third["next"] is None


def test_a_page_that_is_full_and_the_last_has_no_next(lists: Lists) -> None:
    for _ in range(2):
        lists.made()

    assert lists.ask(limit="2").json()["next"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "dead"),
        ("kind", "api"),
        ("client", ""),
        ("client", "a\x00b"),
        ("actor", "a\nb"),
        ("q", "a\x1b[31m"),
        ("created_from", "yesterday"),
        ("seen_before", "2026-01-01T00:00:00"),
        ("colour", "red"),
    ],
)
def test_a_filter_of_a_wrong_shape_is_refused_with_its_name(lists: Lists, name: str, value: str) -> None:
    answer = lists.ask(**{name: value})

    assert_problem(answer, 400, "invalid_query")
    assert answer.json()["errors"][0]["pointer"] == f"/{name}"


def test_a_list_of_a_subject_is_not_for_its_holder(
    http: httpx.Client, server: ServerProcess, lists: Lists
) -> None:
    holder = Holder(http, server, subject=lists.subject)

    assert_problem(
        holder.ask("GET", "/v1/sessions", params={"subject": lists.subject}), 403, "server_key_required"
    )


def test_sessions_of_everybody_are_listed_and_searched(
    http: httpx.Client, server: ServerProcess, lists: Lists
) -> None:
    mine = lists.made(client={"address": "203.0.113.9", "user_agent": FIREFOX, "name": "Tablet"})
    other = created(http, server).json()["session"]

    def ids(**query: str) -> list[str]:
        answer = http.get("/v1/sessions", params=query, headers=server.authorization)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert ids(limit="2") == [other["id"], mine["id"]]
    assert ids(q=lists.subject.upper()) == [mine["id"]]
    assert ids(q=other["id"][:23], limit="5") == [other["id"]]
    assert ids(q="203.0.113.9", subject=lists.subject) == [mine["id"]]
    assert ids(actor="nobody at all") == []


def test_a_listed_session_says_all_that_was_said_when_it_was_created(lists: Lists) -> None:
    lists.made()
    made = lists.made(
        client={"address": "203.0.113.7", "user_agent": FIREFOX, "name": "till"},
        metadata={"ward": 7},
        actor={"name": "support"},
        reason="asked for help",
        ticket="T-1",
        idle_timeout_seconds=900,
        amr=["pwd", "otp"],
    )

    item = lists.ask().json()["items"][0]

    client = {name: item["client"][name] for name in ("address", "user_agent", "name")}
    assert {name: item[name] for name in made} | {"client": client} == made


def test_a_listed_session_says_in_a_few_words_what_software_it_is(lists: Lists) -> None:
    lists.made(client={"user_agent": FIREFOX})
    lists.made(client={"user_agent": "x"})

    silent, spoken = (item["client"] for item in lists.ask().json()["items"])

    assert (spoken["app"], spoken["os"], spoken["device"]) == ("Firefox", "Linux", "desktop")
    assert (silent["user_agent"], silent["app"], silent["os"], silent["device"]) == ("x", None, None, None)


def test_the_pages_of_everybody_begin_where_the_last_one_ended(
    http: httpx.Client, server: ServerProcess
) -> None:
    made = [created(http, server).json()["session"]["id"] for _ in range(5)]
    found: list[str] = []
    after: str | None = None

    while not set(made) <= set(found):
        query = {"limit": "2"} | ({} if after is None else {"after": after})
        page = http.get("/v1/sessions", params=query, headers=server.authorization).json()
        created(http, server)
        found += [item["id"] for item in page["items"]]
        after = page["next"]

    assert found[:5] == made[::-1]


def test_a_session_is_listed_as_it_is_now_however_often_it_was_listed_before(
    http: httpx.Client, server: ServerProcess, lists: Lists
) -> None:
    session = lists.made()
    before = [lists.ask().json()["items"] for _ in range(3)]
    path = f"/v1/sessions/{session['id']}"
    assert http.patch(path, headers=server.authorization, json={"metadata": {"ward": 7}}).status_code == 200

    changed = lists.ask().json()["items"]
    lists.end(session)
    (ended,) = lists.ask(state="all").json()["items"]

    assert before == [before[0]] * 3
    assert changed == [before[0][0] | {"metadata": {"ward": 7}}]
    assert ended["ended"]["code"] == "session_revoked"
    assert ended | {"ended": None} == changed[0]


def test_each_operator_session_is_current_in_its_own_lists_alone(
    http: httpx.Client, server: ServerProcess
) -> None:
    master = {"Authorization": f"Bearer {server.master_token}"}
    own = [http.post("/api/auth/session", headers=master).json()["session_token"] for _ in range(2)]

    def current(token: str) -> list[str]:
        query = {"subject": "operator", "limit": "2"}
        answer = http.get("/v1/sessions", params=query, headers={"Authorization": f"Bearer {token}"})
        return [item["id"] for item in answer.json()["items"] if item["is_current"]]

    first, second, again = current(own[0]), current(own[1]), current(own[0])

    assert len(first) == len(second) == 1
    assert first == again != second
