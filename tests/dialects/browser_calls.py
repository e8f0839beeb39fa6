"""A browser as the server sees it, for the tests of what its one cookie does."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from tests.dialects.native_calls import a_subject, created
from tests.server_process import ServerProcess


class Browser:
    """A browser as the server sees it: it keeps the cookie that it was given last, and sends it."""

    def __init__(self, http: httpx.Client, server: ServerProcess) -> None:
        self.http = http
        self.server = server
        self.cookie = ""

    def sign_in(self, subject: str | None = None, **members: object) -> httpx.Response:
        """Have the backend create a session, as it does when a user signs in; the cookie goes along."""
        value = self.cookie.partition("=")[2]
        members = {"delivery": "cookie"} | ({"browser": value} if value else {}) | members
        answer = created(self.http, self.server, subject=subject or a_subject(), **members)
        return self._kept(answer)

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: object
    ) -> httpx.Response:
        """Send a request with the cookie."""
        sent = {"Cookie": self.cookie} | dict(headers or {})
        return self._kept(self.http.request(method, path, headers=sent, **more))  # type: ignore[arg-type]

    def switch(self, session: str, **headers: str) -> httpx.Response:
        """Switch to another account."""
        return self.ask("POST", "/v1/session/switch", json={"session": session}, headers=headers)

    def accounts(self) -> list[tuple[str, bool]]:
        """Return the subjects of the accounts, and which one is current."""
        items = self.ask("GET", "/v1/session/accounts").json()["items"]
        return [(item["subject"], item["is_current"]) for item in items]

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer


def without_a_jar(server: ServerProcess) -> httpx.Client:
    """Return a client that keeps no cookies by itself."""
    jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.Client(base_url=server.url, cookies=jar)


def session_of(answer: httpx.Response) -> str:
    """Return the id of the session that was answered."""
    return str(answer.json()["session"]["id"])


def is_live(browser: Browser, cookie: str) -> bool:
    """Tell whether the cookie shows a session that lives."""
    return browser.http.get("/v1/session", headers={"Cookie": cookie}).status_code == 200
