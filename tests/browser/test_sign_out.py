"""Signing out in a real Chromium: the server first, then the cookie, then all that the site keeps there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.visitor import Visitor, ask

pytestmark = [pytest.mark.slow, pytest.mark.real("chromium"), pytest.mark.real("nginx")]

_KEEP = """async () => {
    localStorage.setItem("draft", "kept");
    sessionStorage.setItem("draft", "kept");
    document.cookie = "theme=dark; Secure; Path=/; Max-Age=3600";
    await new Promise((done, failed) => {
        const opening = indexedDB.open("shop", 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore("drafts");
        opening.onsuccess = () => { opening.result.close(); done(); };
        opening.onerror = failed;
    });
    await caches.open("pages");
}"""
_KEPT = """async () => ({
    local: localStorage.length,
    databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
    cookies: document.cookie,
})"""
NOTHING = {"local": 0, "databases": 0, "caches": 0, "cookies": ""}


@pytest.fixture
def page(visitor: Visitor) -> Page:
    page = visitor.open()
    visitor.sign_in(page)
    page.evaluate(_KEEP)
    assert page.evaluate(_KEPT) == {"local": 1, "databases": 1, "caches": 1, "cookies": "theme=dark"}
    return page


def test_signing_out_clears_what_the_site_kept(visitor: Visitor, page: Page) -> None:
    cookie = visitor.session_cookie

    with page.expect_response("**/v1/session") as answered:
        assert ask(page, "DELETE", "/v1/session").status == 204

    assert answered.value.header_value("clear-site-data") == '"cookies", "storage"'
    page.goto(visitor.site.url)
    assert page.evaluate(_KEPT) == NOTHING
    assert visitor.cookies == []
    shown = visitor.context.request.get(
        f"{visitor.site.sessiond.url}/v1/session", headers={"Cookie": f"__Host-sid={cookie}"}
    )
    assert (shown.status, shown.json()["reason"]) == (401, "signed_out")


def test_verifying_and_switching_clear_nothing(visitor: Visitor, page: Page) -> None:
    first = page.evaluate("async () => (await (await fetch('/v1/session')).json()).session.id")
    visitor.sign_in(page)

    assert ask(page, "POST", "/v1/session/switch", {"session": first}).status == 200

    assert page.evaluate(_KEPT) == {"local": 1, "databases": 1, "caches": 1, "cookies": "theme=dark"}


def test_a_refused_sign_out_clears_nothing(visitor: Visitor, page: Page) -> None:
    visitor.context.clear_cookies(name="__Host-sid")

    assert ask(page, "DELETE", "/v1/session").status == 401

    assert page.evaluate(_KEPT) == {"local": 1, "databases": 1, "caches": 1, "cookies": "theme=dark"}
