"""Many tabs of one browser at once: they agree, whatever each of them does."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from playwright.sync_api import Page

from tests.browser.visitor import Visitor, ask, begin, finish

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium"), pytest.mark.real("nginx")]

TABS = 8
SWITCH = "/v1/session/switch"
SIGN_OUT = ("DELETE", "/v1/session", None)


def tabs_of(visitor: Visitor) -> Sequence[Page]:
    return [visitor.open() for _ in range(TABS)]


def accounts(page: Page) -> list[tuple[str, str]]:
    """Return the session and the subject of each account, the current one first."""
    items = json.loads(ask(page, "GET", "/v1/session/accounts").text)["items"]
    return [(item["session"], item["subject"]) for item in items]


def all_at_once(asked: Sequence[tuple[Page, tuple[str, str, object]]]) -> list[int]:
    for page, (method, path, body) in asked:
        begin(page, method, path, body)
    return [finish(page).status for page, _ in asked]


def shown_in(tabs: Sequence[Page]) -> set[str]:
    """Return who is signed in, as each tab is told."""
    return {ask(page, "GET", "/who").text for page in tabs}


def test_all_tabs_are_signed_in_and_out_together(visitor: Visitor) -> None:
    tabs = tabs_of(visitor)
    user = visitor.sign_in(tabs[0])
    assert shown_in(tabs) == {user}

    assert ask(tabs[3], *SIGN_OUT).status == 204

    assert shown_in(tabs) == {"nobody"}
    assert visitor.session_cookie is None


def test_two_accounts_of_one_browser(visitor: Visitor) -> None:
    page, other_tab = visitor.open(), visitor.open()
    alice = visitor.sign_in(page)
    bob = visitor.sign_in(page)
    (_, of_alice) = accounts(page)
    before = visitor.session_cookie

    switched = ask(page, "POST", SWITCH, {"session": of_alice[0]})

    assert json.loads(switched.text)["session"]["id"] != of_alice[0]
    assert visitor.session_cookie != before
    assert [subject for _, subject in accounts(other_tab)] == [alice, bob]


def test_tabs_that_switch_to_one_account_at_once_all_end_up_there(visitor: Visitor) -> None:
    tabs = tabs_of(visitor)
    alice = visitor.sign_in(tabs[0])
    bob = visitor.sign_in(tabs[0])
    target = {"session": accounts(tabs[0])[1][0]}

    statuses = all_at_once([(page, ("POST", SWITCH, target)) for page in tabs])

    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 404, 409}
    assert shown_in(tabs) == {alice}
    assert [subject for _, subject in accounts(tabs[0])] == [alice, bob]


def test_tabs_that_switch_to_different_accounts_at_once_lose_none(visitor: Visitor) -> None:
    tabs = tabs_of(visitor)
    users = {visitor.sign_in(tabs[0]) for _ in range(TABS)}
    _, *others = accounts(tabs[0])

    statuses = all_at_once(
        [
            (page, ("POST", SWITCH, {"session": session}))
            for page, (session, _) in zip(tabs, others, strict=False)
        ]
    )

    assert set(statuses) == {200}
    assert len(shown_in(tabs)) == 1
    assert {subject for _, subject in accounts(tabs[0])} == users


def test_no_tab_brings_a_session_back_after_another_signed_out(visitor: Visitor) -> None:
    tabs = tabs_of(visitor)
    for _ in range(4):
        visitor.sign_in(tabs[0])
    _, *others = accounts(tabs[0])
    cookie = visitor.session_cookie
    switching, signing_out, ending, verifying = tabs[:2], tabs[2], tabs[3], tabs[4:]
    switches = [("POST", SWITCH, {"session": session}) for session, _ in others[:2]]

    statuses = all_at_once(
        [
            *zip(switching, switches, strict=True),
            (signing_out, SIGN_OUT),
            (ending, ("DELETE", f"/v1/session/accounts/{others[2][0]}", None)),
            *[(page, ("GET", "/v1/session", None)) for page in verifying],
        ]
    )

    assert statuses[2] == 204
    assert shown_in(tabs) == {"nobody"}
    assert {ask(page, "GET", "/v1/session").status for page in tabs} == {401}
    assert {ask(page, "POST", SWITCH, {"session": others[0][0]}).status for page in tabs} == {401}
    visitor.context.add_cookies(
        [{"name": "__Host-sid", "value": cookie or "", "url": visitor.site.url, "secure": True}]
    )
    assert shown_in(tabs) == {"nobody"}
