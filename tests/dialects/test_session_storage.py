"""The vault's dialect over TCP against a real server: the eight endpoints, and what they show."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from sessiond.http.app import App
from sessiond.http.dialects.session_storage import dialect
from sessiond.http.edge import Edge
from tests.canaries import everything_in, found_in
from tests.deployment import BASE_URL, NOON, SERVER_KEY, TestDeployment
from tests.dialects.vault_calls import (
    DOUBLED,
    PATH,
    TOKEN,
    UNKNOWN,
    a_body,
    a_user,
    after,
    assert_refused,
    in_an_hour,
    listed,
    saved,
)
from tests.server_process import ServerProcess

SHOWN_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of an application, with the server key."""
    with httpx.Client(base_url=server.url, headers=server.authorization) as client:
        yield client


@pytest.fixture
def public(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client without a credential."""
    with httpx.Client(base_url=server.url) as client:
        yield client


# -- the document: eight endpoints ------------------------------------------------------------------------------------


def test_posting_a_token_creates_an_entry_and_shows_its_ends(http: httpx.Client) -> None:
    user = a_user()

    answer = http.post(PATH, json={"user_id": user, "token": TOKEN, "expires_at": "2096-03-26T11:00:00Z"})

    body = answer.json()
    assert answer.status_code == 201
    assert list(body) == [
        "id", "user_id", "token_preview", "expires_at", "is_valid", "saved_at", "created_at",
    ]  # fmt: skip
    assert re.fullmatch(r"store_[0-9a-f]{35}", body["id"])
    assert answer.headers["location"] == f"{PATH}/{body['id']}"
    assert (body["user_id"], body["token_preview"], body["expires_at"], body["is_valid"]) == (
        user, "eyJhbGci...Q3Yk", "2096-03-26T11:00:00Z", True,
    )  # fmt: skip
    assert body["saved_at"] == body["created_at"]
    assert SHOWN_INSTANT.fullmatch(body["saved_at"])


def test_the_list_has_pages_and_never_a_full_token(http: httpx.Client) -> None:
    user = a_user()
    entries = [saved(http, user) for _ in range(3)]

    answer = http.get(PATH, params={"user_id": user})

    assert list(answer.json()) == ["data", "pagination"]
    assert answer.json()["pagination"] == {"page": 1, "limit": 20, "total": 3}
    for shown, entry in zip(answer.json()["data"], reversed(entries), strict=True):
        assert list(shown) == ["id", "user_id", "token_preview", "expires_at", "is_valid", "saved_at"]
        assert shown == {name: entry[name] for name in shown}
    assert TOKEN not in answer.text


def test_one_entry_is_read_with_its_full_token(http: httpx.Client) -> None:
    entry = saved(http, a_user())

    answer = http.get(f"{PATH}/{entry['id']}")

    assert answer.status_code == 200
    assert list(answer.json()) == ["id", "user_id", "token", "expires_at", "is_valid", "saved_at"]
    assert answer.json() == {
        "id": entry["id"],
        "user_id": entry["user_id"],
        "token": TOKEN,
        "expires_at": entry["expires_at"],
        "is_valid": True,
        "saved_at": entry["saved_at"],
    }
    assert answer.headers["cache-control"] == "no-store"


def test_the_current_token_is_the_one_saved_last(http: httpx.Client) -> None:
    user = a_user()
    saved(http, user, token="the older one")
    entry = saved(http, user)

    answer = http.get(f"{PATH}/current", params={"user_id": user})

    assert answer.status_code == 200
    assert list(answer.json()) == ["token", "expires_at", "is_valid"]
    assert answer.json() == {"token": TOKEN, "expires_at": entry["expires_at"], "is_valid": True}
    assert answer.headers["cache-control"] == "no-store"


def test_the_validity_of_the_current_token_is_told_in_seconds(http: httpx.Client) -> None:
    user = a_user()
    entry = saved(http, user, expires_at=after(timedelta(seconds=3540)))

    answer = http.get(f"{PATH}/validity", params={"user_id": user})

    assert answer.status_code == 200
    assert list(answer.json()) == ["is_valid", "expires_at", "seconds_remaining"]
    assert answer.json()["is_valid"] is True
    assert answer.json()["expires_at"] == entry["expires_at"]
    assert 3500 < answer.json()["seconds_remaining"] <= 3540


def test_putting_replaces_the_token_and_its_end(http: httpx.Client) -> None:
    entry = saved(http, a_user(), token="the older one, and long enough")

    answer = http.put(
        f"{PATH}/{entry['id']}", json={"token": TOKEN, "expires_at": "2096-03-26T12:00:00+01:00"}
    )

    assert answer.status_code == 200
    assert list(answer.json()) == ["id", "user_id", "token_preview", "expires_at", "is_valid", "saved_at"]
    assert answer.json()["token_preview"] == "eyJhbGci...Q3Yk"
    assert answer.json()["expires_at"] == "2096-03-26T11:00:00Z"
    assert http.get(f"{PATH}/{entry['id']}").json()["token"] == TOKEN


def test_deleting_one_entry_answers_its_id_and_then_404(http: httpx.Client) -> None:
    entry = saved(http, a_user())["id"]

    answer = http.delete(f"{PATH}/{entry}")

    assert (answer.status_code, answer.json()) == (200, {"deleted": True, "id": entry})
    assert list(answer.json()) == ["deleted", "id"]
    assert_refused(http.delete(f"{PATH}/{entry}"), 404)
    assert_refused(http.get(f"{PATH}/{entry}"), 404)


def test_deleting_all_clears_the_project_and_is_always_200(http: httpx.Client) -> None:
    for _ in range(3):
        saved(http, a_user())

    answers = [http.delete(PATH), http.delete(PATH)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert {answer.text for answer in answers} == {
        '{"cleared":true,"message":"All session tokens cleared from secure storage"}'
    }
    assert listed(http)["pagination"]["total"] == 0


@pytest.mark.parametrize("base", [DOUBLED, DOUBLED + "/", PATH + "/"])
def test_the_doubled_path_and_a_trailing_slash_are_aliases(http: httpx.Client, base: str) -> None:
    user, entry = a_user(), base.rstrip("/") + "/"
    created = http.post(base, json=a_body(user))
    one = created.json()["id"]

    assert created.status_code == 201
    assert created.headers["location"] == f"{PATH}/{one}"
    assert http.get(base, params={"user_id": user}).json()["pagination"]["total"] == 1
    assert http.get(entry + "current", params={"user_id": user}).json()["token"] == TOKEN
    assert http.get(entry + "validity", params={"user_id": user}).json()["is_valid"] is True
    assert http.get(entry + one).json()["token"] == TOKEN
    assert http.put(entry + one, json={"token": "x", "expires_at": in_an_hour()}).status_code == 200
    assert http.delete(entry + one).json() == {"deleted": True, "id": one}
    assert http.delete(base, params={"user_id": user}).status_code == 200


# -- listing ----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_and_end_in_an_empty_one(http: httpx.Client) -> None:
    user = a_user()
    newest_first = [saved(http, user)["id"] for _ in range(5)][::-1]

    pages = [listed(http, user_id=user, page=page, limit=2) for page in (1, 2, 3, 4, 10**30)]

    assert [[entry["id"] for entry in page["data"]] for page in pages] == [
        newest_first[:2], newest_first[2:4], newest_first[4:], [], [],
    ]  # fmt: skip
    assert [page["pagination"] for page in pages[:2]] == [
        {"page": 1, "limit": 2, "total": 5},
        {"page": 2, "limit": 2, "total": 5},
    ]


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=-1", "page=x", "page=1.5", "page=", "limit=0", "limit=101", "limit=x", "is_valid=maybe",
     "user_id=", "user_id=" + "x" * 257, "page=1&page=2", "user=alice", "user_id=%ff"],
)  # fmt: skip
def test_a_query_out_of_range_or_unknown_is_a_400(http: httpx.Client, query: str) -> None:
    assert_refused(http.get(f"{PATH}?{query}"), 400)


@pytest.mark.parametrize("query", ["limit=1", "limit=100", "page=1"])
def test_the_ends_of_the_ranges_are_within(http: httpx.Client, query: str) -> None:
    assert http.get(f"{PATH}?{query}").status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/current"), ("GET", "/validity"), ("DELETE", "")])
def test_a_misspelt_user_is_not_taken_for_everybody(http: httpx.Client, method: str, path: str) -> None:
    assert_refused(http.request(method, f"{PATH}{path}?user=alice"), 400)


# -- time -------------------------------------------------------------------------------------------------------------


async def test_an_expired_entry_is_listed_as_such_is_not_current_and_may_be_replaced() -> None:
    deployment, edge = await TestDeployment.born(), Edge()
    app = App([dialect(deployment.services, edge)], edge=edge, clock=deployment.clock)
    transport, key = httpx.ASGITransport(app=app), {"Authorization": f"Bearer {SERVER_KEY}"}
    noon = datetime.fromtimestamp(NOON / 1000, UTC)
    user = a_user()

    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=key) as http:

        async def saved_until(instant: datetime, token: str = TOKEN) -> dict[str, str]:
            deployment.clock.advance(milliseconds=1)
            body = {"user_id": user, "token": token, "expires_at": instant.isoformat()}
            entry: dict[str, str] = (await http.post(PATH, json=body)).json()
            return entry

        async def asked(path: str = "", **query: str) -> dict[str, Any]:
            body: dict[str, Any] = (await http.get(PATH + path, params={"user_id": user} | query)).json()
            return body

        async def shown(**query: str) -> list[str]:
            return [entry["id"] for entry in (await asked(**query))["data"]]

        lasting = await saved_until(noon + timedelta(hours=1), "the lasting one")
        short = await saved_until(noon + timedelta(seconds=1))
        deployment.clock.advance(seconds=1)

        assert await shown() == [short["id"], lasting["id"]]
        assert await shown(is_valid="true") == [lasting["id"]]
        assert await shown(is_valid="false") == [short["id"]]
        assert (await asked("/current"))["token"] == "the lasting one"
        assert (await asked("/validity"))["expires_at"] == lasting["expires_at"]
        await http.delete(f"{PATH}/{lasting['id']}")
        assert (await asked("/current"))["error"]["code"] == "no_valid_token"
        assert await asked("/validity") == {
            "is_valid": False,
            "expires_at": short["expires_at"],
            "seconds_remaining": 0,
        }

        again = {"token": "x", "expires_at": (noon + timedelta(hours=1)).isoformat()}
        assert (await http.put(f"{PATH}/{short['id']}", json=again)).json()["is_valid"] is True


def test_nothing_stored_is_not_valid_and_not_current(http: httpx.Client) -> None:
    user = a_user()

    validity = http.get(f"{PATH}/validity", params={"user_id": user})

    assert (validity.status_code, validity.text) == (
        200,
        '{"is_valid":false,"expires_at":null,"seconds_remaining":0}',
    )
    assert_refused(http.get(f"{PATH}/current", params={"user_id": user}), 404, "no_valid_token")


def test_without_a_user_the_most_recent_entry_of_all_is_meant(
    http: httpx.Client, public: httpx.Client
) -> None:
    saved(http, a_user(), token="of one user")
    saved(http, a_user(), token="of another, saved last")

    for client in (http, public):
        assert client.get(f"{PATH}/current").json()["token"] == "of another, saved last"
        assert client.get(f"{PATH}/validity").json()["is_valid"] is True


# -- paths and what is kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", PATH, {"GET", "HEAD", "POST", "DELETE"}),
        ("PUT", f"{PATH}/current", {"GET", "HEAD"}),
        ("DELETE", f"{PATH}/validity", {"GET", "HEAD"}),
        ("POST", f"{PATH}/{UNKNOWN}", {"GET", "HEAD", "PUT", "DELETE"}),
    ],
)
def test_another_method_is_a_405_and_the_literals_win(
    http: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = http.request(method, path)

    assert_refused(answer, 405)
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == allowed


def test_an_unknown_path_below_is_a_404_in_the_dialects_shape(http: httpx.Client) -> None:
    assert_refused(http.get(f"{PATH}/a/b/c"), 404)


@pytest.mark.slow
def test_entries_survive_a_crash(tmp_path: Path) -> None:
    with (
        ServerProcess.started(tmp_path) as server,
        httpx.Client(base_url=server.url, headers=server.authorization) as http,
    ):
        entry = saved(http, a_user())["id"]
        server.kill()
        server.restart()

        assert http.get(f"{PATH}/{entry}").json()["token"] == TOKEN


@pytest.mark.slow
@pytest.mark.in_files
def test_nothing_readable_of_a_token_is_kept_or_logged(tmp_path: Path) -> None:
    first, second = (f"{uuid.uuid4().hex}.{uuid.uuid4().hex}" for _ in range(2))
    with (
        ServerProcess.started(tmp_path) as server,
        httpx.Client(base_url=server.url, headers=server.authorization) as http,
    ):
        key, user = {"Idempotency-Key": f"key-{first[:16]}"}, a_user()
        body = a_body(user, token=first)
        entry = http.post(PATH, json=body, headers=key).json()["id"]
        http.post(PATH, json=body, headers=key)
        http.get(f"{PATH}/{entry}")
        listed(http)
        http.put(f"{PATH}/{entry}", json={"token": second, "expires_at": in_an_hour()})
        http.get(f"{PATH}/current")
        http.post(PATH, json=body | {"token": second + "\n"})
        http.post(PATH, json=body | {"surplus": second})
        http.post(PATH, content=b'{"token":"' + second.encode(), headers={"Content-Type": "application/json"})
        kept = everything_in(server)
        http.delete(f"{PATH}/{entry}")
        server.kill()
        kept += everything_in(server)

    assert user.encode() in kept
    parts = [part for token in (first, second) for part in (token[:8], token[8:24], token[-12:])]
    assert found_in(kept, parts) == []
