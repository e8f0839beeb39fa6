"""Subjects in the native API, over TCP against a real server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.server_process import ServerProcess

PATH = "/v1/subjects"


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client with the server key."""
    with httpx.Client(base_url=server.url, headers=server.authorization) as client:
        yield client


def created(http: httpx.Client, **members: object) -> dict[str, Any]:
    answer = http.post(PATH, json=members)
    assert answer.status_code == 201, answer.text
    subject: dict[str, Any] = answer.json()["subject"]
    return subject


def path_of(subject: dict[str, Any]) -> str:
    return f"{PATH}/{quote(subject['id'], safe='')}"


def access_token(http: httpx.Client, subject: str) -> str:
    return str(http.post("/v1/sessions", json={"subject": subject}).json()["access_token"])


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_subject_is_created_under_an_id_that_is_given_or_minted(http: httpx.Client) -> None:
    given = f"käthe/{uuid.uuid4()}"

    answer = http.post(PATH, json={"id": given, "name": "Käthe", "profile": {"mail": "k@example.org"}})
    minted = created(http)

    subject = answer.json()["subject"]
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{quote(given, safe='')}"
    assert subject == {
        "id": given,
        "kind": "user",
        "name": "Käthe",
        "anonymous": False,
        "hint": None,
        "profile": {"mail": "k@example.org"},
        "created_at": subject["created_at"],
        "disabled_at": None,
    }
    assert http.get(answer.headers["location"]).json() == answer.json()
    assert uuid.UUID(minted["id"]).version == 4
    assert (minted["name"], minted["profile"]) == (None, {})


def test_a_subject_is_created_once(http: httpx.Client) -> None:
    subject = created(http, name="first")

    assert_problem(http.post(PATH, json={"id": subject["id"], "name": "second"}), 409, "subject_exists")

    assert http.get(path_of(subject)).json()["subject"]["name"] == "first"


def test_a_subject_that_a_session_made_is_shown_too(http: httpx.Client) -> None:
    name = f"user-{uuid.uuid4()}"
    access_token(http, name)

    assert http.get(f"{PATH}/{name}").json()["subject"]["kind"] == "user"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"id": ""}, "invalid_body"),
        ({"id": "a\nb"}, "invalid_body"),
        ({"id": "x" * 257}, "invalid_body"),
        ({"name": ""}, "invalid_body"),
        ({"name": "x" * 257}, "invalid_body"),
        ({"name": "a\x1bb"}, "invalid_body"),
        ({"profile": []}, "invalid_body"),
        ({"profile": {"a": "x" * 9000}}, "invalid_body"),
        ({"profile": None}, "invalid_body"),
        ({"anonymous": "no"}, "invalid_body"),
        ({"kind": "operator"}, "invalid_body"),
        ({"disabled_at": None}, "invalid_body"),
    ],
)
def test_a_create_of_a_wrong_shape_is_refused(http: httpx.Client, body: dict[str, object], code: str) -> None:
    assert_problem(http.post(PATH, json=body), 400, code)


@pytest.mark.parametrize(
    "value", [b'{"a":' * 1200 + b"1" + b"}" * 1200, b"1" + b"0" * 5000, b'"\\ud800"', b"1e400", b"NaN"]
)
def test_what_no_profile_can_hold_is_refused(http: httpx.Client, value: bytes) -> None:
    answer = http.post(
        PATH, content=b'{"profile":{"a":' + value + b"}}", headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400, answer.text


def test_large_numbers_are_kept_as_they_are(http: httpx.Client) -> None:
    subject = created(http, profile={"a": 10**400, "b": -(2**63) - 1})

    assert http.get(path_of(subject)).json()["subject"]["profile"] == {"a": 10**400, "b": -(2**63) - 1}


def test_subjects_are_listed_newest_first_in_pages(http: httpx.Client) -> None:
    made = [created(http)["id"] for _ in range(3)]

    first = http.get(PATH, params={"kind": "user", "limit": 2}).json()
    created(http)
    second = http.get(PATH, params={"kind": "user", "limit": 2, "after": first["next"]}).json()

    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids[:3] == made[::-1]


def test_the_last_page_says_so(http: httpx.Client) -> None:
    created(http)
    seen: list[str] = []
    query: dict[str, str] | None = {}

    while query is not None:
        page = http.get(PATH, params={"limit": "5"} | query).json()
        seen += [item["id"] for item in page["items"]]
        query = None if page["next"] is None else {"after": page["next"]}

    assert seen
    assert len(set(seen)) == len(seen)


def test_devices_are_listed_by_their_kind(http: httpx.Client) -> None:
    http.post("/api/sessions", json={"identifier": "a-device-identifier-42"})

    devices = http.get(PATH, params={"kind": "device"}).json()["items"]

    assert [(item["kind"], item["hint"], item["anonymous"]) for item in devices] == [("device", "42", True)]


@pytest.mark.parametrize(
    "query", ["kind=operator", "limit=0", "limit=101", "offset=1", "q=", f"q={'x' * 257}", "q=a%00b", "x=1"]
)
def test_a_list_of_a_wrong_shape_is_refused(http: httpx.Client, query: str) -> None:
    assert_problem(http.get(f"{PATH}?{query}"), 400, "invalid_query")


@pytest.mark.parametrize(
    "after", ["", "x", "!", "AAAAAAAA", "AAAAAAAAYQ=", "_" * 352, "AAAAAAAAY" + "Q" * 400]
)
def test_a_cursor_that_is_none_of_ours_is_refused(http: httpx.Client, after: str) -> None:
    assert_problem(http.get(PATH, params={"after": after}), 400, "invalid_cursor")


def test_subjects_are_searched_by_id_name_and_profile(http: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    by_id = created(http, id=f"user/{mark}")
    by_name = created(http, name=f"Zoë {mark}")
    by_mail = created(http, profile={"primary_email": f"{mark}@example.org", "n": 7})
    created(http, profile={"deep": {"mail": mark}})

    found = http.get(PATH, params={"q": mark.upper()}).json()

    assert [item["id"] for item in found["items"]] == [each["id"] for each in (by_mail, by_name, by_id)]
    assert http.get(PATH, params={"q": f"ZOË {mark}", "kind": "device"}).json()["items"] == []


def test_an_erased_subject_is_gone_with_all_that_was_its_own(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject = created(http, id=f"anna/{uuid.uuid4()}", name="Anna")
    token = access_token(http, subject["id"])

    answers = [http.delete(path_of(subject)).status_code for _ in range(2)]

    assert answers == [204, 204]
    assert_problem(http.get(path_of(subject)), 404, "subject_unknown")
    assert_problem(http.get(f"{path_of(subject)}/export"), 404, "subject_unknown")
    assert http.get("/v1/sessions", params={"subject": subject["id"], "state": "all"}).json()["items"] == []
    holder = httpx.get(f"{server.url}/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert (holder.status_code, holder.json()["code"]) == (401, "invalid_token")


def test_a_later_subject_of_the_same_id_is_another(http: httpx.Client, server: ServerProcess) -> None:
    subject = created(http, name="Anna")
    old = access_token(http, subject["id"])
    http.delete(path_of(subject))

    new = access_token(http, subject["id"])

    told = [
        httpx.get(f"{server.url}/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (old, new)
    ]
    assert told == [401, 200]
    assert http.get(path_of(subject)).json()["subject"]["name"] is None


def test_the_operator_is_not_erased(http: httpx.Client) -> None:
    assert_problem(http.delete(f"{PATH}/operator"), 403, "subject_reserved")


def test_the_operator_is_nobodys_user(http: httpx.Client, server: ServerProcess) -> None:
    opened = httpx.post(
        f"{server.url}/api/auth/session", headers={"Authorization": f"Bearer {server.master_token}"}
    )
    assert opened.status_code == 200

    assert_problem(http.post(PATH, json={"id": "operator"}), 409, "subject_exists")
    kinds = {item["kind"] for item in http.get(PATH, params={"limit": 100}).json()["items"]}

    assert "operator" not in kinds
    for method, path in [("GET", ""), ("PATCH", ""), ("POST", "/disable"), ("POST", "/enable")]:
        answer = http.request(method, f"{PATH}/operator{path}", json={} if method == "PATCH" else None)
        assert_problem(answer, 404, "subject_unknown")


def test_no_server_key_disables_the_operator_before_its_first_sign_in(fresh_server: ServerProcess) -> None:
    with httpx.Client(base_url=fresh_server.url, headers=fresh_server.authorization) as http:
        http.post("/v1/sessions", json={"subject": "operator"})

        disabled = http.post(f"{PATH}/operator/disable")

        assert_problem(disabled, 404, "subject_unknown")
        master = {"Authorization": f"Bearer {fresh_server.master_token}"}
        assert http.post("/api/auth/session", headers=master).status_code == 200


def test_another_projects_user_may_be_called_operator(http: httpx.Client, server: ServerProcess) -> None:
    project = f"shop-{uuid.uuid4()}"
    assert server.run("projects", "add", project).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": project}

    created_there = http.post(PATH, json={"id": "operator"}, headers=operator)

    assert created_there.status_code == 201
    assert http.get(f"{PATH}/operator", headers=operator).json() == created_there.json()


def test_name_and_profile_are_changed_by_a_merge_patch(http: httpx.Client) -> None:
    subject = created(http, name="Ann", profile={"mail": "a@example.org", "team": {"id": 1, "name": "red"}})

    changed = http.patch(path_of(subject), json={"profile": {"mail": None, "team": {"name": "blue"}}})
    unnamed = http.patch(path_of(subject), json={"name": None})

    assert changed.json()["subject"]["name"] == "Ann"
    assert changed.json()["subject"]["profile"] == {"team": {"id": 1, "name": "blue"}}
    assert unnamed.json()["subject"] == changed.json()["subject"] | {"name": None}
    assert http.get(path_of(subject)).json() == unnamed.json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"id": "other"}, "invalid_body"),
        ({"name": 5}, "invalid_body"),
        ({"name": "a\x00"}, "invalid_body"),
        ({"profile": None}, "invalid_body"),
        ({"profile": {"a": "x" * 9000}}, "invalid_body"),
    ],
)
def test_a_patch_of_a_wrong_shape_changes_nothing(
    http: httpx.Client, body: dict[str, object], code: str
) -> None:
    subject = created(http, name="Ann", profile={"a": 1})

    assert_problem(http.patch(path_of(subject), json=body), 400, code)

    assert http.get(path_of(subject)).json()["subject"] == subject


def test_a_disabled_subject_has_no_session_and_gets_none(http: httpx.Client, server: ServerProcess) -> None:
    subject = created(http)
    token = access_token(http, subject["id"])

    disabled = http.post(f"{path_of(subject)}/disable")
    again = http.post(f"{path_of(subject)}/disable")

    assert disabled.status_code == 200
    assert disabled.json()["subject"]["disabled_at"] is not None
    assert again.json() == disabled.json()
    shown = httpx.get(f"{server.url}/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert_problem(shown, 401, "subject_disabled")
    assert_problem(http.post("/v1/sessions", json={"subject": subject["id"]}), 403, "subject_disabled")


def test_an_enabled_subject_gets_new_sessions_and_no_old_one_back(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject = created(http)
    old = access_token(http, subject["id"])
    http.post(f"{path_of(subject)}/disable")

    enabled = http.post(f"{path_of(subject)}/enable")

    assert enabled.json()["subject"] == subject
    shown = [
        httpx.get(f"{server.url}/v1/session", headers={"Authorization": f"Bearer {token}"}).status_code
        for token in (old, access_token(http, subject["id"]))
    ]
    assert shown == [401, 200]


def test_an_unknown_subject_and_another_projects_look_the_same(
    http: httpx.Client, server: ServerProcess
) -> None:
    project = f"shop-{uuid.uuid4()}"
    assert server.run("projects", "add", project).returncode == 0
    operator = {"Authorization": f"Bearer {server.master_token}", "Sessiond-Project": project}
    foreign = http.post(PATH, json={}, headers=operator).json()["subject"]

    for method, path in [("GET", ""), ("PATCH", ""), ("POST", "/disable"), ("POST", "/enable")]:
        body: dict[str, str] | None = {} if method == "PATCH" else None
        answers = [
            http.request(method, f"{PATH}/{name}{path}", json=body) for name in (foreign["id"], "nobody")
        ]
        for answer in answers:
            assert_problem(answer, 404, "subject_unknown")
    assert http.get(path_of(foreign), headers=operator).json()["subject"] == foreign


def test_managing_subjects_takes_a_server_key(http: httpx.Client, server: ServerProcess) -> None:
    subject = created(http)
    own = {"Authorization": f"Bearer {access_token(http, subject['id'])}"}

    for method, path in [
        ("POST", PATH),
        ("GET", PATH),
        ("GET", path_of(subject)),
        ("PATCH", path_of(subject)),
        ("POST", f"{path_of(subject)}/disable"),
        ("POST", f"{path_of(subject)}/enable"),
    ]:
        body: dict[str, str] | None = {} if path == PATH or method == "PATCH" else None
        assert_problem(http.request(method, path, headers=own, json=body), 403, "server_key_required")
        assert_problem(httpx.request(method, f"{server.url}{path}", json=body), 401, "credential_required")
    assert http.get(path_of(subject)).json()["subject"] == subject
