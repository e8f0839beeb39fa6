"""Several accounts in one browser, over TCP: sign in beside others, list, switch, sign out of one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.browser_calls import Browser, is_live, session_of, without_a_jar
from tests.dialects.native_calls import Holder, a_subject, assert_problem
from tests.server_process import ServerProcess

UNKNOWN = "01a1fc85-811b-7509-b712-5abdc87c645d"


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """A client without cookies or credentials."""
    with without_a_jar(server) as client:
        yield client


@pytest.fixture
def browser(http: httpx.Client, server: ServerProcess) -> Browser:
    return Browser(http, server)


def test_a_sign_in_beside_another_account_keeps_both(browser: Browser) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    browser.sign_in(bob)

    assert browser.accounts() == [(bob, True), (alice, False)]


@pytest.mark.parametrize("value", ["", "x", "sdb1_" + "A" * 86, "é", "sdb1_" + "A" * 5000])
def test_an_unknown_cookie_is_no_hindrance_to_a_sign_in(browser: Browser, value: str) -> None:
    subject = a_subject()

    browser.sign_in(subject, browser=value)

    assert browser.accounts() == [(subject, True)]


def test_a_switch_answers_a_new_id_and_cookie(browser: Browser) -> None:
    alice, bob = a_subject(), a_subject()
    former, former_cookie = session_of(browser.sign_in(alice)), browser.cookie
    browser.sign_in(bob)
    left = browser.cookie

    answer = browser.switch(former)

    assert answer.status_code == 200
    assert set(answer.json()) == {"session"}
    assert (answer.json()["session"]["subject"], session_of(answer) != former) == (alice, True)
    assert browser.cookie not in {former_cookie, left}
    assert "sdb1_" not in answer.text
    assert (is_live(browser, former_cookie), is_live(browser, left)) == (False, True)
    assert browser.accounts() == [(alice, True), (bob, False)]


def test_a_switch_passes_no_limit_and_keeps_the_assurance(browser: Browser) -> None:
    before = browser.sign_in(
        absolute_timeout_seconds=600, idle_timeout_seconds=300, acr="gold", amr=["pwd"], remember=False
    ).json()["session"]
    browser.sign_in()

    answer = browser.switch(before["id"])

    after = answer.json()["session"]
    kept = ("expires_at", "idle_timeout_seconds", "authenticated_at", "acr", "amr", "client", "metadata")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert "Max-Age" not in answer.headers["set-cookie"]


def test_what_is_not_this_browsers_is_unknown(
    http: httpx.Client, browser: Browser, server: ServerProcess
) -> None:
    browser.sign_in()
    other = Browser(http, server)
    foreign = session_of(other.sign_in())
    own = session_of(browser.ask("GET", "/v1/session"))
    before = browser.cookie

    for target in (foreign, own, UNKNOWN, "", "x", "sdb1_x", "'; --"):
        assert_problem(browser.switch(target), 404, "account_unknown")
    for target in (foreign, own, UNKNOWN, "x"):
        ended = browser.ask("DELETE", f"/v1/session/accounts/{target}")
        assert_problem(ended, 404, "account_unknown")
    assert browser.cookie == before
    assert is_live(browser, other.cookie)


def test_a_session_with_tokens_has_no_accounts(http: httpx.Client, server: ServerProcess) -> None:
    holder = Holder(http, server)

    accounts = holder.ask("GET", "/v1/session/accounts").json()["items"]
    answer = holder.ask("POST", "/v1/session/switch", json={"session": UNKNOWN})

    assert [(item["session"], item["is_current"]) for item in accounts] == [(holder.id, True)]
    assert_problem(answer, 404, "account_unknown")


def test_another_account_that_ended_is_told_from_an_unknown_one(
    browser: Browser, server: ServerProcess
) -> None:
    alice = session_of(browser.sign_in())
    browser.sign_in()
    browser.http.delete(f"/v1/sessions/{alice}", headers=server.authorization)

    assert_problem(browser.switch(alice), 409, "account_ended")
    assert len(browser.accounts()) == 1


def test_a_browser_takes_eight_accounts(browser: Browser, http: httpx.Client, server: ServerProcess) -> None:
    for _ in range(8):
        browser.sign_in()
    value, subject = browser.cookie.partition("=")[2], a_subject()
    body = {"subject": subject, "delivery": "cookie", "browser": value}

    ninth = http.post("/v1/sessions", headers=server.authorization, json=body)

    assert_problem(ninth, 409, "too_many_accounts")
    assert "set-cookie" not in ninth.headers
    assert len(browser.accounts()) == 8


def test_another_account_is_signed_out_alone(browser: Browser) -> None:
    alice = a_subject()
    other = session_of(browser.sign_in())
    browser.sign_in(alice)

    statuses = [browser.ask("DELETE", f"/v1/session/accounts/{other}").status_code for _ in range(2)]

    assert statuses == [204, 204]
    assert browser.accounts() == [(alice, True)]


def test_a_retried_sign_in_gets_the_same_session_beside_the_same_accounts(
    browser: Browser, http: httpx.Client, server: ServerProcess
) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    value = browser.cookie.partition("=")[2]
    body = {"subject": bob, "delivery": "cookie", "browser": value}
    headers = server.authorization | {"Idempotency-Key": a_subject()}

    answers = [http.post("/v1/sessions", headers=headers, json=body) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert session_of(answers[0]) == session_of(answers[1])
    browser.cookie = answers[1].headers["set-cookie"].partition(";")[0]
    assert browser.accounts() == [(bob, True), (alice, False)]


def test_who_stops_impersonating_goes_back_to_their_own_account(browser: Browser) -> None:
    support, alice = a_subject(), a_subject()
    browser.sign_in(alice)
    browser.cookie = ""
    own = session_of(browser.sign_in(support))
    browser.sign_in(alice, actor={"session": own}, reason="cannot see her invoices")
    acting = browser.cookie
    assert browser.accounts() == [(alice, True), (support, False)]

    answer = browser.switch(own)

    assert (answer.status_code, answer.json()["session"]["actor"]) == (200, None)
    assert browser.accounts() == [(support, True)]
    assert not is_live(browser, acting)


def test_an_account_that_stepped_up_stays_among_the_browsers(browser: Browser, server: ServerProcess) -> None:
    alice, bob = a_subject(), a_subject()
    browser.sign_in(alice)
    former = session_of(browser.sign_in(bob))
    path = f"/v1/sessions/{former}/authenticate"

    answer = browser.ask("POST", path, headers=server.authorization, json={"acr": "gold"})

    assert answer.status_code == 201, answer.text
    assert browser.accounts() == [(bob, True), (alice, False)]
    (_, other) = browser.ask("GET", "/v1/session/accounts").json()["items"]
    browser.switch(other["session"])
    assert browser.accounts() == [(alice, True), (bob, False)]


def test_no_list_tells_a_subject_who_else_uses_its_browser(browser: Browser, server: ServerProcess) -> None:
    alice, bob = a_subject(), a_subject()
    first = session_of(browser.sign_in(alice))
    second = session_of(browser.sign_in(bob))

    mine = browser.ask("GET", "/v1/me/sessions").text
    shown = browser.http.get(f"/v1/sessions/{second}", headers=server.authorization).text
    exported = browser.http.post(f"/v1/subjects/{bob}/export", headers=server.authorization).text

    assert alice not in mine + shown + exported
    assert first not in mine + shown + exported
