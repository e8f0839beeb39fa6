"""The name and PIN dialect over TCP against a real server: every documented request, shell lines included."""

from __future__ import annotations

import json
import os
import re
import subprocess

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.till import (
    NAME,
    PIN,
    THIRTY_DAYS,
    claims_of,
    login,
    logout,
    post,
    refresh,
    set_cookies,
    shown,
    signed_in,
)

SIGN_OUT = """
RESPONSE=$(curl -s -i -X POST "$BASE/auth/login" -H "Content-Type: application/json" -d "$CREDENTIALS")
ACCESS_TOKEN=$(echo "$RESPONSE" | grep -o 'accessToken=[^;]*' | cut -d= -f2)
REFRESH_TOKEN=$(echo "$RESPONSE" | grep -o 'refreshToken=[^;]*' | cut -d= -f2)
BOTH=(-H "Cookie: refreshToken=$REFRESH_TOKEN" -H "Cookie: accessToken=$ACCESS_TOKEN")
curl -s -w '\n' -X POST "$BASE/auth/logout" "${BOTH[@]}"
curl -s -w '\n%{http_code}\n' -X POST "$BASE/auth/refresh" "${BOTH[@]}"
curl -s -o /dev/null -w '%{http_code}\n' "$BASE/v1/session" "${BOTH[@]}"
"""


# -- the document


def test_login_answers_with_the_message_and_the_cookies(till: ServerProcess) -> None:
    answer = login(till)

    assert answer.status_code == 200
    assert answer.text == '{"message":"Login successful"}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    cookies = set_cookies(answer)
    assert {name: cookie.partition("; ")[2] for name, cookie in cookies.items()} == {
        "accessToken": "Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
        "refreshToken": f"Path=/; Max-Age={THIRTY_DAYS}; HttpOnly; SameSite=Lax",
        "knownClient": f"Path=/auth/login; Max-Age={THIRTY_DAYS}; HttpOnly; SameSite=Lax",
    }
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", cookie.partition(";")[0]) for cookie in cookies.values())


def test_curl_with_two_cookie_headers_signs_out_and_both_tokens_are_dead(till: ServerProcess) -> None:
    environment = {**os.environ, "BASE": till.url, "CREDENTIALS": json.dumps({"name": NAME, "pin": PIN})}

    ran = subprocess.run(
        ["bash", "-eu"], input=SIGN_OUT, env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines() == [
        '{"message":"Logout successful"}',
        '{"message":"Invalid token"}',
        "401",
        "401",
    ]


def test_five_refreshes_with_one_refresh_token_all_succeed(till: ServerProcess) -> None:
    tokens = signed_in(till)

    answers = [refresh(till, tokens["refreshToken"]) for _ in range(5)]

    fresh = [answer.json()["accessToken"] for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({tokens["accessToken"], *fresh}) == 6
    assert [shown(till, token).status_code for token in fresh] == [200] * 5


def test_a_refresh_answers_with_the_token_and_updates_that_cookie_only(till: ServerProcess) -> None:
    answer = refresh(till, signed_in(till)["refreshToken"])

    body = answer.json()
    assert list(body) == ["message", "accessToken"]
    assert body["message"] == "Access token refreshed successfully"
    assert set_cookies(answer) == {
        "accessToken": f"{body['accessToken']}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
    }


def test_logout_deletes_both_cookies_with_the_same_attributes(till: ServerProcess) -> None:
    tokens = signed_in(till)

    answer = logout(till, accessToken=tokens["accessToken"])

    assert answer.status_code == 200
    assert answer.text == '{"message":"Logout successful"}'
    assert set_cookies(answer) == {
        "accessToken": "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
        "refreshToken": "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
    }


def test_after_logout_both_tokens_are_refused_at_once(till: ServerProcess) -> None:
    tokens = signed_in(till)
    assert (
        logout(till, accessToken=tokens["accessToken"], refreshToken=tokens["refreshToken"]).status_code
        == 200
    )

    renewed, session = refresh(till, tokens["refreshToken"]), shown(till, tokens["accessToken"])
    again = logout(till, accessToken=tokens["accessToken"], refreshToken=tokens["refreshToken"])

    assert (renewed.status_code, renewed.json()) == (401, {"message": "Invalid token"})
    assert session.status_code == 401
    assert (again.status_code, again.json()) == (401, {"message": "Unauthorized API access"})


def test_a_browser_whose_access_cookie_ran_out_signs_out_with_the_refresh_cookie(till: ServerProcess) -> None:
    tokens = signed_in(till)

    assert logout(till, refreshToken=tokens["refreshToken"]).status_code == 200

    assert shown(till, tokens["accessToken"]).status_code == 401


def test_logout_ends_the_refresh_token_that_it_deletes_even_of_another_session(till: ServerProcess) -> None:
    first, second = signed_in(till), signed_in(till)

    logout(till, accessToken=first["accessToken"], refreshToken=second["refreshToken"])

    assert [shown(till, tokens["accessToken"]).status_code for tokens in (first, second)] == [401, 401]
    assert [refresh(till, tokens["refreshToken"]).status_code for tokens in (first, second)] == [401, 401]


def test_sessions_of_one_user_live_side_by_side(till: ServerProcess) -> None:
    first, second = signed_in(till), signed_in(till)

    logout(till, accessToken=first["accessToken"])

    assert refresh(till, first["refreshToken"]).status_code == 401
    assert refresh(till, second["refreshToken"]).status_code == 200


# -- tokens


def test_the_tokens_say_what_the_contract_names(till: ServerProcess) -> None:
    tokens = signed_in(till)
    access, refreshing = claims_of(tokens["accessToken"]), claims_of(tokens["refreshToken"])

    for claims, use, lifetime in ((access, "access", 60), (refreshing, "refresh", THIRTY_DAYS)):
        assert claims.keys() == {"sub", "name", "use", "sid", "gen", "jti", "iat", "exp", "iss", "aud"}
        assert (claims["sub"], claims["name"], claims["use"]) == (NAME, NAME, use)
        assert isinstance(claims["iat"], int)
        assert claims["exp"] == claims["iat"] + lifetime
    assert access["sid"] == refreshing["sid"]
    assert access["jti"] != refreshing["jti"]


def test_the_access_token_shows_the_session_as_a_cookie_and_as_a_bearer(till: ServerProcess) -> None:
    token = signed_in(till)["accessToken"]

    by_cookie = shown(till, token)
    by_header = httpx.get(f"{till.url}/v1/session", headers={"Authorization": f"Bearer {token}"})

    assert by_cookie.json()["session"]["subject"] == NAME
    assert by_cookie.json()["session"]["id"] == by_header.json()["session"]["id"] == claims_of(token)["sid"]


def test_a_refresh_token_is_no_access_token(till: ServerProcess) -> None:
    token = signed_in(till)["refreshToken"]

    assert shown(till, token).status_code == 401
    assert shown(till, token).json()["code"] == "wrong_token_kind"
    assert logout(till, accessToken=token).status_code == 401


def test_an_access_token_is_no_refresh_token(till: ServerProcess) -> None:
    token = signed_in(till)["accessToken"]

    assert refresh(till, token).json() == {"message": "Invalid token"}
    assert logout(till, refreshToken=token).status_code == 401
    assert shown(till, token).status_code == 200


@pytest.mark.parametrize("token", ["", "x", "eyJhbGciOiJub25lIn0.e30.", "sdr1_" + "A" * 86, "a" * 5000])
def test_junk_is_refused_in_the_dialects_words(till: ServerProcess, token: str) -> None:
    assert (refresh(till, token).status_code, refresh(till, token).json()) == (
        401,
        {"message": "Invalid token"},
    )
    assert logout(till, accessToken=token).json() == {"message": "Unauthorized API access"}


def test_every_one_character_change_of_a_token_is_refused(till: ServerProcess) -> None:
    token = signed_in(till)["refreshToken"]
    places = range(0, len(token), 7)
    mutants = [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in places]

    with httpx.Client(base_url=till.url) as client:
        answers = {
            client.post("/auth/refresh", headers={"Cookie": f"refreshToken={mutant}"}).status_code
            for mutant in mutants
        }

    assert answers == {401}


def test_no_cookie_at_all_is_refused(till: ServerProcess) -> None:
    assert post(till, "/auth/refresh").json() == {"message": "Invalid token"}
    assert post(till, "/auth/logout").json() == {"message": "Unauthorized API access"}


def test_a_token_counts_in_its_cookie_only(till: ServerProcess) -> None:
    tokens = signed_in(till)
    headers = {"Authorization": f"Bearer {tokens['refreshToken']}"}

    in_header = post(till, "/auth/refresh", headers=headers)
    in_query = post(till, f"/auth/refresh?refreshToken={tokens['refreshToken']}")
    in_body = httpx.post(f"{till.url}/auth/refresh", json={"refreshToken": tokens["refreshToken"]})

    assert [each.status_code for each in (in_header, in_query, in_body)] == [401] * 3


def test_two_cookies_of_one_name_are_refused(till: ServerProcess) -> None:
    tokens = signed_in(till)
    one, other = f"refreshToken={tokens['refreshToken']}", "refreshToken=planted"

    for answer in (post(till, "/auth/refresh", one, other), post(till, "/auth/refresh", f"{other}; {one}")):
        assert answer.status_code == 400
        assert answer.json().keys() == {"message"}
