"""Browser sessions over TCP: the one cookie, what other sites cannot do with it, and signing out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.dialects.browser_calls import Browser, is_live, session_of, without_a_jar
from tests.dialects.native_calls import Holder, a_subject, assert_problem, bearer
from tests.server_process import ServerProcess

ORIGIN = "https://app.example"
HTTPS = ("--public-url", ORIGIN)
FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none", "Origin": "null"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client without cookies or credentials."""
    with without_a_jar(server) as client:
        yield client


@pytest.fixture
def browser(http: httpx.Client, server: ServerProcess) -> Browser:
    return Browser(http, server)


@pytest.fixture(scope="module")
def https_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that is told it is reached over https."""
    with ServerProcess.started(tmp_path_factory.mktemp("https"), *HTTPS) as process:
        yield process


@pytest.fixture
def https(https_server: ServerProcess) -> Iterator[Browser]:
    with without_a_jar(https_server) as client:
        yield Browser(client, https_server)


def test_over_https_there_is_one_prefixed_cookie_and_no_token_in_the_body(https: Browser) -> None:
    answer = https.sign_in()

    name_and_value, *attributes = answer.headers["set-cookie"].split("; ")
    assert name_and_value.startswith("__Host-sid=sdb1_")
    assert set(attributes) == {"Path=/", "Max-Age=2592000", "Secure", "HttpOnly", "SameSite=Lax"}
    assert set(answer.json()) == {"session"}
    assert "sdb1_" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_cookie_that_is_not_remembered_lives_as_long_as_the_browser(browser: Browser) -> None:
    answer = browser.sign_in(remember=False)

    assert set(answer.headers["set-cookie"].split("; ")[1:]) == {"Path=/", "HttpOnly", "SameSite=Lax"}
    assert "Max-Age" in browser.sign_in(remember=True).headers["set-cookie"]


@pytest.mark.parametrize("member", [{"remember": False}, {"remember": True}, {"browser": "x"}])
def test_what_goes_with_a_cookie_is_refused_without_one(
    http: httpx.Client, server: ServerProcess, member: dict[str, object]
) -> None:
    answer = http.post("/v1/sessions", headers=server.authorization, json={"subject": "alice"} | member)

    assert_problem(answer, 400, "invalid_body")
    assert answer.json()["errors"] == [
        {"pointer": f"/{next(iter(member))}", "detail": "goes with delivery cookie"}
    ]


def test_on_https_no_other_cookie_name_counts(https: Browser) -> None:
    https.sign_in()
    value = https.cookie.partition("=")[2]

    for name in ("sid", "__host-sid", "__Host-Http-sid", "__HOST-SID", '"__Host-sid"', "__Host-sid ;x"):
        answer = https.http.get("/v1/session", headers={"Cookie": f"{name}={value}"})
        assert_problem(answer, 401, "credential_required")
    planted = https.http.get("/v1/session", headers={"Cookie": f"sid=junk; {https.cookie}; sid=junk"})
    assert planted.status_code == 200


def test_the_name_can_be_the_one_that_no_script_can_write(tmp_path: Path) -> None:
    options = (*HTTPS, "--set", "session_cookie=__Host-Http-sid")
    with ServerProcess.started(tmp_path, *options) as server, without_a_jar(server) as http:
        browser = Browser(http, server)
        browser.sign_in()
        former = browser.cookie.replace("__Host-Http-sid", "__Host-sid")

        assert browser.cookie.startswith("__Host-Http-sid=")
        assert browser.ask("GET", "/v1/session").status_code == 200
        assert not is_live(browser, former)
        ended = browser.ask("DELETE", "/v1/session")
        assert ended.headers["set-cookie"].startswith("__Host-Http-sid=;")


def test_two_session_cookies_may_not_name_different_sessions(browser: Browser) -> None:
    browser.sign_in()
    value = browser.cookie.partition("=")[2]
    browser.cookie = ""
    browser.sign_in()

    both = browser.http.get("/v1/session", headers={"Cookie": f"__Host-sid={value}; {browser.cookie}"})
    same = browser.http.get("/v1/session", headers={"Cookie": f"__Host-sid={value}; sid={value}"})

    assert_problem(both, 400, "credentials_differ")
    assert same.status_code == 200


def test_no_session_is_issued_where_its_cookie_could_not_be_set(
    http: httpx.Client, server: ServerProcess
) -> None:
    subject, headers = a_subject(), server.authorization | {"Host": "app.example"}

    answer = http.post("/v1/sessions", headers=headers, json={"subject": subject, "delivery": "cookie"})

    assert_problem(answer, 400, "cookie_needs_https")
    listed = http.get("/v1/sessions", params={"subject": subject}, headers=server.authorization)
    assert listed.json()["items"] == []


def test_a_planted_cookie_is_never_kept_over_a_sign_in(browser: Browser) -> None:
    victim = a_subject()
    planted = browser.sign_in(victim)
    cookie = browser.cookie

    answer = browser.sign_in(victim)

    assert session_of(answer) != session_of(planted)
    assert browser.cookie != cookie
    assert not is_live(browser, cookie)


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_foreign_page_changes_nothing_with_the_cookie(browser: Browser, headers: dict[str, str]) -> None:
    other = session_of(browser.sign_in())
    browser.sign_in()
    cookie = browser.cookie

    answers = [
        browser.switch(other, **headers),
        browser.ask("DELETE", "/v1/session", headers=headers),
        browser.ask("DELETE", f"/v1/session/accounts/{other}", headers=headers),
        browser.ask("DELETE", "/v1/me/sessions", headers=headers),
        browser.ask("PATCH", f"/v1/me/sessions/{other}", headers=headers, json={"client": {"name": "x"}}),
    ]

    for answer in answers:
        assert_problem(answer, 403, "cross_site")
        assert "set-cookie" not in answer.headers
    assert browser.cookie == cookie
    assert len(browser.accounts()) == 2


def test_a_form_or_text_from_our_own_page_is_no_json(browser: Browser, server: ServerProcess) -> None:
    other = session_of(browser.sign_in())
    browser.sign_in()

    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = browser.ask(
            "POST",
            "/v1/session/switch",
            headers={"Content-Type": kind, "Origin": server.url},
            content=json.dumps({"session": other}),
        )
        assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_no_header_makes_a_read_a_sign_out(browser: Browser, header: str) -> None:
    browser.sign_in()

    shown = browser.ask("GET", "/v1/session/accounts?_method=DELETE", headers={header: "DELETE"})
    posted = browser.ask("POST", "/v1/session", headers={header: "DELETE"})

    assert shown.status_code == 200
    assert_problem(posted, 405, "method_not_allowed")
    assert browser.ask("GET", "/v1/session").status_code == 200


def test_a_foreign_page_cannot_sign_a_browser_in(http: httpx.Client, browser: Browser) -> None:
    browser.sign_in()
    body = {"subject": "mallory", "delivery": "cookie"}

    by_cookie = browser.ask("POST", "/v1/sessions", json=body, headers={"Origin": "https://evil.example"})
    by_token = http.post("/v1/sessions", json=body, headers=bearer(browser.cookie.partition("=")[2]))

    assert_problem(by_cookie, 401, "credential_required")
    assert_problem(by_token, 403, "server_key_required")
    assert "set-cookie" not in by_cookie.headers


def test_a_token_in_a_url_or_form_is_no_credential(browser: Browser) -> None:
    browser.sign_in()
    value = browser.cookie.partition("=")[2]

    in_url = browser.http.get(f"/v1/session/accounts?access_token={value}&sid={value}")
    in_form = browser.http.request("DELETE", "/v1/session", data={"sid": value, "access_token": value})

    assert_problem(in_url, 401, "credential_required")
    assert_problem(in_form, 401, "credential_required")


def test_signing_out_ends_all_accounts_and_deletes_the_cookie(browser: Browser) -> None:
    browser.sign_in()
    first = browser.cookie
    browser.sign_in()
    second = browser.cookie

    answer = browser.ask("DELETE", "/v1/session")

    assert answer.status_code == 204
    assert answer.headers["set-cookie"] == "sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    assert "clear-site-data" not in answer.headers
    assert (is_live(browser, first), is_live(browser, second)) == (False, False)


def test_over_https_the_browser_is_told_to_forget_the_site(https: Browser) -> None:
    https.sign_in()

    answer = https.ask("DELETE", "/v1/session", headers={"Origin": ORIGIN})

    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert answer.headers["set-cookie"] == "__Host-sid=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"


def test_ending_the_current_one_by_its_id_is_signing_out(https: Browser) -> None:
    https.sign_in()
    first = https.cookie
    current = session_of(https.sign_in())

    answer = https.ask("DELETE", f"/v1/me/sessions/{current}")

    assert answer.headers["clear-site-data"] == '"cookies", "storage"'
    assert answer.headers["set-cookie"].startswith("__Host-sid=;")
    assert not is_live(https, first)


def test_who_signs_out_by_token_loses_nothing_else(https: Browser) -> None:
    holder = Holder(https.http, https.server)

    answer = holder.ask("DELETE", "/v1/session")

    assert answer.status_code == 204
    assert not {"clear-site-data", "set-cookie"} & set(answer.headers)


def test_a_refused_cookie_is_not_deleted(browser: Browser) -> None:
    browser.sign_in()
    stale = browser.cookie
    browser.ask("DELETE", "/v1/session")

    answer = browser.ask("DELETE", "/v1/session", headers={"Cookie": stale})

    # Its answer might come after that of a new sign-in, and would take the new cookie away.
    assert_problem(answer, 401, "session_revoked")
    assert "set-cookie" not in answer.headers
