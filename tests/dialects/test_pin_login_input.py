"""What the name and PIN dialect makes of names, bodies and other sites, over TCP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.till import (
    NAME,
    PIN,
    claims_of,
    login,
    logout,
    post,
    set_cookies,
    shown,
    signed_in,
    with_user,
)

# -- names and PINs


@pytest.fixture(scope="module")
def many_users(till: ServerProcess) -> ServerProcess:
    for name, pin in (("Anna Müller", "0012"), ("zero", "00000"), ("Straße", "пароль")):
        with_user(till, name, pin)
    return till


@pytest.mark.parametrize(
    ("name", "pin"),
    [
        ("Anna Müller", "0012"),
        ("ANNA MU\u0308LLER", "0012"),
        ("\uff41nna Müller", "0012"),
        ("strasse", "пароль"),
        ("ZERO", "00000"),
    ],
)
def test_names_are_compared_folded(many_users: ServerProcess, name: str, pin: str) -> None:
    answer = login(many_users, name, pin)

    assert answer.status_code == 200


def test_a_token_names_its_user_as_it_was_given_and_by_its_folded_id(many_users: ServerProcess) -> None:
    claims = claims_of(set_cookies(login(many_users, "anna müller", "0012"))["accessToken"].partition(";")[0])

    assert (claims["sub"], claims["name"]) == ("anna müller", "Anna Müller")


@pytest.mark.parametrize("pin", ["0000", "000000", "12", "0 0000"])
def test_leading_zeros_matter(many_users: ServerProcess, pin: str) -> None:
    assert login(many_users, "zero", pin).status_code in {400, 401}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"cashier"',
        b"{}",
        b'{"name": "cashier"}',
        b'{"pin": "0000"}',
        b'{"name": "cashier", "pin": 0}',
        b'{"name": "cashier", "pin": 1234}',
        b'{"name": "cashier", "pin": null}',
        b'{"name": ["cashier"], "pin": "0000"}',
        b'{"name": "cashier", "pin": "0000", "pin": "0000"}',
        b'{"name": "cashier", "pin": "0000", "admin": true}',
        b'{"name": "cashier", "pin": "000"}',
        b'{"name": "cashier", "pin": "' + b"0" * 65 + b'"}',
        b'{"name": "", "pin": "0000"}',
        b'{"name": "\\ud800", "pin": "0000"}',
        b'{"name": "\\u0000", "pin": "0000"}',
        b'{"name": "cashier", "pin": "\xff\xff\xff\xff"}',
        b'{"name": "' + b"a" * 60_000 + b'", "pin": "0000"}',
    ],
)
def test_a_body_that_is_not_the_documented_one_is_a_400(till: ServerProcess, body: bytes) -> None:
    answer = httpx.post(f"{till.url}/auth/login", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json().keys() == {"message"}
    assert "set-cookie" not in answer.headers


def test_other_content_types_and_sizes_are_refused(till: ServerProcess) -> None:
    form = httpx.post(f"{till.url}/auth/login", data={"name": NAME, "pin": PIN})
    text = httpx.post(
        f"{till.url}/auth/login",
        content=json.dumps({"name": NAME, "pin": PIN}),
        headers={"Content-Type": "text/plain"},
    )
    big = httpx.post(f"{till.url}/auth/login", json={"name": NAME, "pin": "0" * 70_000})

    assert [each.status_code for each in (form, text, big)] == [415, 415, 413]
    assert all(each.json().keys() == {"message"} for each in (form, text, big))


@pytest.mark.parametrize("path", ["/auth/login", "/auth/refresh", "/auth/logout"])
def test_another_method_is_a_405_in_the_dialects_shape(till: ServerProcess, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = httpx.request(method, till.url + path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json().keys() == {"message"}


def test_a_path_below_the_dialect_that_is_none_is_a_404_in_its_shape(till: ServerProcess) -> None:
    answer = httpx.post(f"{till.url}/auth/login/again")

    assert (answer.status_code, answer.json().keys()) == (404, {"message"})


# -- browsers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_can_do_nothing(till: ServerProcess, headers: Mapping[str, str]) -> None:
    tokens = signed_in(till)

    answers = [
        login(till, headers=headers),
        post(till, "/auth/refresh", f"refreshToken={tokens['refreshToken']}", headers=headers),
        post(till, "/auth/logout", f"accessToken={tokens['accessToken']}", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert all(answer.json().keys() == {"message"} for answer in answers)
    assert not any("set-cookie" in answer.headers for answer in answers)
    assert shown(till, tokens["accessToken"]).status_code == 200


def test_a_page_of_our_own_may_do_everything(till: ServerProcess) -> None:
    headers = {"Origin": till.url, "Sec-Fetch-Site": "same-origin"}
    assert login(till, headers=headers).status_code == 200
    tokens = signed_in(till)

    renewed = post(till, "/auth/refresh", f"refreshToken={tokens['refreshToken']}", headers=headers)
    ended = post(till, "/auth/logout", f"accessToken={tokens['accessToken']}", headers=headers)

    assert (renewed.status_code, ended.status_code) == (200, 200)


@pytest.mark.slow
def test_cookies_are_secure_where_the_public_url_is_https(tmp_path: Path) -> None:
    settings = {"SESSIOND_PUBLIC_URL": "https://till.example"}
    with ServerProcess.started(tmp_path, settings=settings) as server:
        with_user(server)
        answer = login(server)
        token = set_cookies(answer)["accessToken"].partition(";")[0]
        ended = logout(server, accessToken=token)

    lines = answer.headers.get_list("set-cookie") + ended.headers.get_list("set-cookie")
    assert len(lines) == 5
    assert all("; Secure" in line for line in lines)
