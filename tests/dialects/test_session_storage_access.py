"""The vault's dialect over TCP: who reaches whose entries."""

from __future__ import annotations

from collections.abc import Iterator

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
    saved,
    session_of,
)
from tests.server_process import ServerProcess


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


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose public access is off, with a small cap."""
    settings = {"SESSIOND_PUBLIC_ACCESS": "off", "SESSIOND_VAULT_MAX_PER_USER": "3"}
    with ServerProcess.started(tmp_path_factory.mktemp("closed"), settings=settings) as process:
        yield process


# -- whose entries ----------------------------------------------------------------------------------------------------


def test_a_users_session_sees_its_own_entries_only(
    http: httpx.Client, public: httpx.Client, server: ServerProcess
) -> None:
    alice, bob = a_user(), a_user()
    public.headers.update(session_of(public, server, alice))
    mine, theirs = saved(public, alice)["id"], saved(http, bob)["id"]

    assert ids(public) == [mine]
    assert ids(public, user_id=bob) == []
    assert public.get(f"{PATH}/current").json()["token"] == TOKEN
    assert public.get(f"{PATH}/validity").json()["is_valid"] is True
    assert_refused(public.get(f"{PATH}/current", params={"user_id": bob}), 404)
    unknown = public.get(f"{PATH}/{UNKNOWN}")
    for answer in (
        public.get(f"{PATH}/{theirs}"),
        public.delete(f"{PATH}/{theirs}"),
        public.put(f"{PATH}/{theirs}", json={"token": "x", "expires_at": in_an_hour()}),
    ):
        assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content)
    assert_refused(public.post(PATH, json=a_body(bob)), 403, "not_your_user")
    assert http.get(f"{PATH}/{theirs}").json()["token"] == TOKEN


def test_a_users_session_clears_its_own_entries_only(
    http: httpx.Client, public: httpx.Client, server: ServerProcess
) -> None:
    alice, bob = a_user(), a_user()
    saved(http, alice)
    theirs = saved(http, bob)["id"]
    public.headers.update(session_of(public, server, alice))

    assert public.delete(PATH, params={"user_id": bob}).status_code == 200
    assert public.delete(PATH).status_code == 200

    assert ids(http, user_id=alice) == []
    assert ids(http, user_id=bob) == [theirs]


def test_an_application_may_clear_one_users_entries(http: httpx.Client) -> None:
    alice, bob = a_user(), a_user()
    saved(http, alice)
    theirs = saved(http, bob)["id"]

    http.delete(PATH, params={"user_id": alice})

    assert ids(http, user_id=alice) == []
    assert ids(http, user_id=bob) == [theirs]


def test_a_session_cookie_counts_and_a_foreign_page_may_not_write_with_it(
    public: httpx.Client, server: ServerProcess
) -> None:
    user = a_user()
    body = {"subject": user, "delivery": "cookie"}
    answer = public.post("/v1/sessions", json=body, headers=server.authorization)
    name, value = answer.headers["set-cookie"].split(";")[0].split("=", 1)
    public.cookies.clear()
    cookie = {"Cookie": f"{name}={value}"}

    created = public.post(PATH, json=a_body(user), headers=cookie)
    foreign = [
        public.post(PATH, json=a_body(user), headers=cookie | {"Origin": "https://evil.example"}),
        public.delete(PATH, headers=cookie | {"Origin": "null"}),
        public.delete(PATH, headers=cookie | {"Sec-Fetch-Site": "same-site"}),
    ]

    assert created.status_code == 201
    for refused in foreign:
        assert_refused(refused, 403, "cross_site")
    assert public.get(PATH, headers=cookie).json()["pagination"]["total"] == 1
    other = session_of(public, server, a_user())
    assert_refused(public.get(PATH, headers=cookie | other), 400, "credentials_differ")


def test_a_session_that_ended_is_refused_and_does_not_become_public(
    public: httpx.Client, server: ServerProcess
) -> None:
    header = session_of(public, server, a_user())
    public.delete("/v1/session", headers=header)

    assert_refused(public.get(PATH, headers=header), 401)
    assert_refused(public.get(PATH, headers={"Cookie": "sid=sdb1_junk"}), 401)


@pytest.mark.parametrize(
    "header", ["Bearer junk", "Bearer eyJ.a.b", "Bearer sdr1_x", "Bearer sdk1_x", "Basic YTpi", "sda1_x"]
)
def test_what_is_presented_must_pass_even_while_public_access_is_open(
    public: httpx.Client, header: str
) -> None:
    assert_refused(public.get(PATH, headers={"Authorization": header}), 401)


def test_a_refresh_token_opens_nothing(public: httpx.Client, server: ServerProcess) -> None:
    answer = public.post("/v1/sessions", json={"subject": a_user()}, headers=server.authorization)
    refresh = {"Authorization": f"Bearer {answer.json()['refresh_token']}"}

    assert_refused(public.get(PATH, headers=refresh), 401, "wrong_token_kind")


def test_open_public_access_reaches_the_whole_project(http: httpx.Client, public: httpx.Client) -> None:
    user = a_user()
    entry = saved(public, user)["id"]

    assert ids(http, user_id=user) == ids(public, user_id=user) == [entry]
    assert public.get(f"{PATH}/{entry}").json()["token"] == TOKEN
    assert public.delete(f"{PATH}/{entry}").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 401),
        ({"X-Forwarded-For": "192.0.2.1"}, 401),
    ],
)
def test_open_public_access_is_closed_to_foreign_pages_and_proxies(
    public: httpx.Client, headers: dict[str, str], status: int
) -> None:
    assert_refused(public.get(PATH, headers=headers), status)


def test_the_operator_acts_like_a_server_key(
    http: httpx.Client, public: httpx.Client, server: ServerProcess
) -> None:
    user = a_user()
    entry = saved(http, user)["id"]
    master = {"Authorization": f"Bearer {server.master_token}"}
    operator = public.post("/api/auth/session", headers=master).json()["session_token"]

    for header in (master, {"Authorization": f"Bearer {operator}"}):
        assert public.get(f"{PATH}/{entry}", headers=header).json()["token"] == TOKEN


def test_while_closed_a_credential_is_demanded(closed: ServerProcess) -> None:
    with httpx.Client(base_url=closed.url) as http:
        for method, path in (
            ("GET", ""), ("GET", "/current"), ("GET", "/validity"), ("GET", "/" + UNKNOWN), ("DELETE", ""),
            ("DELETE", "/" + UNKNOWN),
        ):  # fmt: skip
            assert_refused(http.request(method, PATH + path), 401)
        assert_refused(http.post(PATH, json=a_body("x")), 401)
        assert_refused(http.put(f"{PATH}/{UNKNOWN}", json=a_body("x")), 401)

        user = a_user()
        http.headers.update(session_of(http, closed, user))
        assert saved(http, user)["user_id"] == user
