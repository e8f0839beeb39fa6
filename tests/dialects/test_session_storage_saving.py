"""The vault's dialect over TCP: what is saved and replaced, once, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.dialects.vault_calls import (
    PATH,
    TOKEN,
    UNKNOWN,
    a_body,
    a_user,
    assert_refused,
    ids,
    in_an_hour,
    listed,
    saved,
)
from tests.server_process import ServerProcess


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of an application, with the server key."""
    with httpx.Client(base_url=server.url, headers=server.authorization) as client:
        yield client


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose public access is off, with a small cap."""
    settings = {"SESSIOND_PUBLIC_ACCESS": "off", "SESSIOND_VAULT_MAX_PER_USER": "3"}
    with ServerProcess.started(tmp_path_factory.mktemp("closed"), settings=settings) as process:
        yield process


# -- saving -----------------------------------------------------------------------------------------------------------


def test_a_second_post_appends(http: httpx.Client) -> None:
    user, body = a_user(), a_body(a_user())

    first, second = (http.post(PATH, json=body | {"user_id": user}).json() for _ in range(2))

    assert first["id"] != second["id"]
    assert ids(http, user_id=user) == [second["id"], first["id"]]


def test_an_idempotency_key_makes_a_retry_return_the_first_answer(http: httpx.Client) -> None:
    user, key = a_user(), {"Idempotency-Key": str(uuid.uuid4())}
    body = a_body(user)
    first = http.post(PATH, json=body, headers=key)
    http.put(f"{PATH}/{first.json()['id']}", json={"token": "other", "expires_at": in_an_hour()})

    again = http.post(PATH, json=body, headers=key)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert listed(http, user_id=user)["pagination"]["total"] == 1


def test_an_idempotency_key_with_another_body_is_a_422(http: httpx.Client) -> None:
    user, key = a_user(), {"Idempotency-Key": str(uuid.uuid4())}
    http.post(PATH, json=a_body(user, expires_at="2096-01-01T00:00:00Z"), headers=key)

    for members in ({"token": "other"}, {"user_id": a_user()}, {"expires_at": "2096-01-01T00:00:01Z"}):
        body = a_body(user, expires_at="2096-01-01T00:00:00Z") | members
        assert_refused(http.post(PATH, json=body, headers=key), 422, "idempotency_key_reused")
    assert_refused(http.post(PATH, json=a_body(user), headers={"Idempotency-Key": "x" * 256}), 400)


def test_one_idempotency_key_used_at_once_creates_once(http: httpx.Client, server: ServerProcess) -> None:
    user, body = a_user(), a_body(a_user())
    headers = server.authorization | {"Idempotency-Key": str(uuid.uuid4())}

    def post(_: int) -> httpx.Response:
        return httpx.post(server.url + PATH, json=body | {"user_id": user}, headers=headers)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(post, range(16)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert listed(http, user_id=user)["pagination"]["total"] == 1


def test_at_the_cap_the_oldest_goes(closed: ServerProcess) -> None:
    user = a_user()
    with httpx.Client(base_url=closed.url, headers=closed.authorization) as http:
        entries = [saved(http, user)["id"] for _ in range(4)]

        assert ids(http, user_id=user) == entries[:0:-1]
        assert http.get(f"{PATH}/{entries[0]}").status_code == 404


def test_many_posts_at_once_never_pass_the_cap(closed: ServerProcess) -> None:
    user = a_user()

    def post(_: int) -> int:
        headers = closed.authorization
        return httpx.post(closed.url + PATH, json=a_body(user), headers=headers).status_code

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(post, range(32)))

    assert set(statuses) == {201}
    with httpx.Client(base_url=closed.url, headers=closed.authorization) as http:
        assert listed(http, user_id=user)["pagination"]["total"] == 3


@pytest.mark.parametrize(
    ("expires_at", "shown"),
    [
        ("2096-03-26T11:00:00Z", "2096-03-26T11:00:00Z"),
        ("2096-03-26T11:00:00.999+05:30", "2096-03-26T05:30:00Z"),
        ("2096-03-26t11:00:00-00:00", "2096-03-26T11:00:00Z"),
    ],
)
def test_expires_at_is_shown_in_utc_and_whole_seconds(
    http: httpx.Client, expires_at: str, shown: str
) -> None:
    entry = saved(http, a_user(), expires_at=expires_at)

    assert entry["expires_at"] == shown
    assert http.get(f"{PATH}/{entry['id']}").json()["expires_at"] == shown


@pytest.mark.parametrize(
    "members",
    [
        {"expires_at": "2096-03-26T11:00:00"},
        {"expires_at": "2096-03-26"},
        {"expires_at": "tomorrow"},
        {"expires_at": 1742986800},
        {"expires_at": None},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"token": ""},
        {"token": None},
        {"token": 7},
        {"token": "a\nb"},
        {"token": "a\x7f"},
        {"token": "x" * 16_385},
        {"token": "é" * 8193},
        {"user_id": ""},
        {"user_id": None},
        {"user_id": 7},
        {"user_id": "x" * 257},
        {"user_id": "a\nb"},
        {"is_valid": True},
        {"project": "other"},
    ],
)
def test_what_is_missing_wrong_or_unknown_in_a_body_is_a_400_and_changes_nothing(
    http: httpx.Client, members: dict[str, object]
) -> None:
    user = a_user()
    body = a_body(user) | members

    assert_refused(http.post(PATH, json=body), 400)

    assert listed(http, user_id=user)["pagination"]["total"] == 0


@pytest.mark.parametrize("missing", ["user_id", "token", "expires_at"])
def test_every_member_is_needed_to_save(http: httpx.Client, missing: str) -> None:
    body = {name: value for name, value in a_body(a_user()).items() if name != missing}

    answer = http.post(PATH, json=body)

    assert_refused(answer, 400)
    assert missing in answer.json()["error"]["message"]


def test_a_token_of_16_kib_comes_back_whole(http: httpx.Client) -> None:
    token = "é" * 8192

    entry = saved(http, a_user(), token=token)

    assert http.get(f"{PATH}/{entry['id']}").json()["token"] == token


@pytest.mark.parametrize(
    ("token", "preview"),
    [("x" * 23, "...xx"), ("x" * 24, "xxxxxxxx...xxxx"), ("ab", "..."), ("12345678", "...78")],
)
def test_a_short_tokens_preview_shows_at_most_its_last_two(
    http: httpx.Client, token: str, preview: str
) -> None:
    assert saved(http, a_user(), token=token)["token_preview"] == preview


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"token":"a","token":"b"}', "application/json", 400),
        (b'{"token":"' + b"x" * 70_000 + b'"}', "application/json", 413),
        (b"token=a", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    http: httpx.Client, content: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}

    assert_refused(http.post(PATH, content=content, headers=headers), status)
    assert_refused(http.put(f"{PATH}/{UNKNOWN}", content=content, headers=headers), status)


# -- replacing --------------------------------------------------------------------------------------------------------


def test_a_replaced_entry_is_the_newest_and_keeps_its_birth(http: httpx.Client) -> None:
    user = a_user()
    older, newer = saved(http, user), saved(http, user)

    http.put(f"{PATH}/{older['id']}", json={"token": "x", "expires_at": in_an_hour()})

    assert ids(http, user_id=user) == [older["id"], newer["id"]]


def test_a_users_id_is_immutable(http: httpx.Client) -> None:
    entry = saved(http, a_user())
    body = {"token": "x", "expires_at": in_an_hour()}

    assert_refused(
        http.put(f"{PATH}/{entry['id']}", json=body | {"user_id": a_user()}), 400, "user_id_immutable"
    )
    assert http.put(f"{PATH}/{entry['id']}", json=body | {"user_id": entry["user_id"]}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"token": "x"},
        {"expires_at": "2096-01-01T00:00:00Z"},
        {"token": "", "expires_at": "2096-01-01T00:00:00Z"},
        {"token": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"token": "x", "expires_at": "2096-01-01T00:00:00"},
        {"token": "x", "expires_at": "2096-01-01T00:00:00Z", "saved_at": "2020-01-01T00:00:00Z"},
    ],
)
def test_a_replacement_needs_both_members_and_a_future(http: httpx.Client, body: dict[str, str]) -> None:
    entry = saved(http, a_user())

    assert_refused(http.put(f"{PATH}/{entry['id']}", json=body), 400)

    assert http.get(f"{PATH}/{entry['id']}").json()["token"] == TOKEN


@pytest.mark.parametrize("entry", [UNKNOWN, "store_001", "x"])
def test_an_unknown_entry_is_a_404_and_is_not_created(http: httpx.Client, entry: str) -> None:
    body = {"token": "x", "expires_at": in_an_hour()}

    assert_refused(http.put(f"{PATH}/{entry}", json=body), 404, "entry_unknown")
    assert_refused(http.get(f"{PATH}/{entry}"), 404, "entry_unknown")
    assert_refused(http.delete(f"{PATH}/{entry}"), 404, "entry_unknown")
