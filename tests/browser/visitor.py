"""Somebody with a browser: signs in by the shop's form, and asks sessiond from its pages."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from playwright.sync_api import BrowserContext, Page

from tests.browser.site import Site

COOKIE = "__Host-sid"

_SIGN_IN = """async form => {
    await fetch("/sign-in", {method: "POST", body: new URLSearchParams(form), redirect: "manual"});
}"""
_ASK = """async ([method, path, body]) => {
    const answer = await fetch(path, {
        method,
        headers: body === null ? {} : {"Content-Type": "application/json"},
        body: body === null ? null : JSON.stringify(body),
    });
    const text = await answer.text();
    return {status: answer.status, text, cache: answer.headers.get("X-Cache")};
}"""


class Answered(NamedTuple):
    """What a page got."""

    status: int
    text: str
    cache: str | None


class Visitor:
    """One browser context and what its owner does with it."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site

    def open(self, url: str | None = None) -> Page:
        """Open a tab, with the shop if nothing else is said."""
        page = self.context.new_page()
        page.goto(url or self.site.url)
        return page

    def sign_in(self, page: Page, *, remember: bool = True) -> str:
        """Sign in as somebody new, by a script of the shop's page; return who."""
        user = f"user-{uuid.uuid4()}"
        page.evaluate(_SIGN_IN, {"user": user} | ({"remember": "on"} if remember else {}))
        return user

    def fill_in_form(self, page: Page) -> str:
        """Sign in as somebody new, as people do; return who."""
        user = f"user-{uuid.uuid4()}"
        page.fill("[name=user]", user)
        with page.expect_navigation():
            page.click("button")
        return user

    @property
    def cookies(self) -> list[Any]:
        """What the browser keeps, for every site."""
        return self.context.cookies()

    @property
    def session_cookie(self) -> str | None:
        """The value of the session cookie that the browser keeps."""
        return next((each["value"] for each in self.cookies if each["name"] == COOKIE), None)


def ask(page: Page, method: str, path: str, body: object = None) -> Answered:
    """Send a request by a script of the page; return its answer."""
    return Answered(**page.evaluate(_ASK, [method, path, body]))


def begin(page: Page, method: str, path: str, body: object = None) -> None:
    """Send a request by a script of the page, and do not wait for its answer."""
    page.evaluate(f"asked => {{ window.begun = ({_ASK})(asked); }}", [method, path, body])


def finish(page: Page) -> Answered:
    """Wait for the answer to what was begun."""
    return Answered(**page.evaluate("window.begun"))
