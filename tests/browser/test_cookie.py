"""The session cookie in a real Chromium: what it keeps of it, and who can reach it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Playwright

from tests.browser.conftest import profile
from tests.browser.site import Site, site_in
from tests.browser.tls import Certificate
from tests.browser.visitor import COOKIE, Visitor, ask
from tests.system.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium"), pytest.mark.real("nginx")]


def test_chromium_keeps_one_cookie_with_every_protection(visitor: Visitor) -> None:
    visitor.fill_in_form(visitor.open())

    (kept,) = visitor.cookies
    assert {name: kept[name] for name in ("name", "domain", "path", "secure", "httpOnly", "sameSite")} == {
        "name": COOKIE,
        "domain": "localhost",
        "path": "/",
        "secure": True,
        "httpOnly": True,
        "sameSite": "Lax",
    }
    assert kept["value"].startswith("sdb1_")


def test_the_cookie_lives_as_long_as_the_session(visitor: Visitor) -> None:
    page = visitor.open()
    visitor.sign_in(page)

    (kept,) = visitor.cookies
    expires_at = page.evaluate(
        "async () => Date.parse((await (await fetch('/v1/session')).json()).session.expires_at) / 1000"
    )
    assert abs(expires_at - kept["expires"]) < 3600  # of thirty days; it counts from when the answer came


def test_no_script_reads_or_replaces_the_cookie(visitor: Visitor) -> None:
    page = visitor.open()
    user = visitor.sign_in(page)
    before = visitor.session_cookie

    seen = page.evaluate(
        f"""async () => {{
            document.cookie = "{COOKIE}=planted; Secure; Path=/";
            document.cookie = "{COOKIE}=; Secure; Path=/; Max-Age=0";
            const stored = await cookieStore.getAll();
            return [document.cookie, stored.length];
        }}"""
    )

    assert seen == ["", 0]
    assert visitor.session_cookie == before
    assert ask(page, "GET", "/who").text == user


def test_the_other_name_is_taken_from_answers_only(
    context: BrowserContext, certificate: Certificate, tmp_path: Path
) -> None:
    name = "__Host-Http-sid"

    with site_in(tmp_path, certificate, "--set", f"session_cookie={name}") as site:
        visitor = Visitor(context, site)
        page = visitor.open()
        for planted in (COOKIE, name):
            page.evaluate(f'document.cookie = "{planted}=planted; Secure; Path=/"')
        eventually(lambda: [kept["name"] for kept in visitor.cookies] == [COOKIE])
        user = visitor.fill_in_form(page)
        assert {kept["name"]: kept["httpOnly"] for kept in visitor.cookies} == {COOKIE: False, name: True}
        assert ask(page, "GET", "/who").text == user


def test_a_cookie_that_was_not_set_over_https_is_none_of_ours(visitor: Visitor) -> None:
    page = visitor.open()
    value = _value(visitor)

    page.evaluate(f'document.cookie = "sid={value}; Secure; Path=/"')

    assert ask(page, "GET", "/v1/session").status == 401


def test_no_answer_that_a_script_can_read_holds_the_cookie(visitor: Visitor) -> None:
    page = visitor.open()
    visitor.sign_in(page)
    first = json.loads(ask(page, "GET", "/v1/session").text)["session"]["id"]
    visitor.sign_in(page)

    texts = [
        ask(page, method, path, body).text
        for method, path, body in (
            ("GET", "/v1/session", None),
            ("GET", "/v1/session/accounts", None),
            ("POST", "/v1/session/switch", {"session": first}),
            ("GET", "/v1/me/sessions", None),
        )
    ]

    assert all(text.startswith("{") and "sdb1_" not in text for text in texts)


@pytest.mark.parametrize("remember", [True, False])
def test_only_a_remembered_sign_in_outlives_the_browser(
    playwright: Playwright, site: Site, tmp_path: Path, remember: bool
) -> None:
    with profile(playwright, site, tmp_path / "profile") as visitor:
        user = visitor.sign_in(visitor.open(), remember=remember)
        assert [kept["expires"] > 0 for kept in visitor.cookies] == [remember]

    with profile(playwright, site, tmp_path / "profile") as again:
        assert ask(again.open(), "GET", "/who").text == (user if remember else "nobody")


def _value(visitor: Visitor) -> str:
    """Return the value of a good session cookie, which the browser no longer has."""
    visitor.sign_in(visitor.open())
    value = visitor.session_cookie
    visitor.context.clear_cookies()
    assert value is not None
    return value
