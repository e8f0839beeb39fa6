"""A small application as our users write them: a sign-in form, and pages that know who asks.

It signs a user in by asking sessiond for a session with its server key, and passes the `Set-Cookie` on. Everything
else the browser asks of sessiond itself, on the same origin, below `/v1`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import httpx

from tests.server_process import ServerProcess

COOKIES = ("__Host-sid", "__Host-Http-sid")
PAGE = """<!doctype html><title>Shop</title>
<form method="post" action="/sign-in">
<input name="user"><input name="remember" type="checkbox" checked><button>Sign in</button>
</form>"""
BARE = "<!doctype html><title>Another site</title>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Shop

    def do_GET(self) -> None:
        """Show a page: our own, or the bare one that the tests put an attacker's script on."""
        if self.path == "/who":
            self._who()
        else:
            self._send(200, PAGE if self.path == "/" else BARE)

    def do_POST(self) -> None:
        """Sign a user in, who sent the form from our own page."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path != "/sign-in" or self.headers["Sec-Fetch-Site"] != "same-origin":
            self._send(403, BARE)
            return
        form = parse_qs(body)
        answer = self.server.sign_in(form["user"][0], self._cookie(), remember="remember" in form)
        self._send(303, "", Location="/", **{"Set-Cookie": answer.headers["set-cookie"]})

    def _who(self) -> None:
        answer = self.server.ask(self.headers["Cookie"] or "")
        who = answer.json()["session"]["subject"] if answer.status_code == httpx.codes.OK else "nobody"
        self._send(200, who, **{"Cache-Control": answer.headers["cache-control"]})

    def _cookie(self) -> str:
        sent = SimpleCookie(self.headers["Cookie"])
        return next((sent[name].value for name in COOKIES if name in sent), "")

    def _send(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html", "Cache-Control": "no-cache"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


class _Shop(ThreadingHTTPServer):
    """The application, and how it asks sessiond."""

    def __init__(self, sessiond: ServerProcess) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._sessiond = sessiond
        self.http = httpx.Client(base_url=sessiond.url, timeout=60)

    def sign_in(self, user: str, cookie: str, *, remember: bool) -> httpx.Response:
        body = {"subject": user, "delivery": "cookie", "remember": remember, "browser": cookie}
        answer = self.http.post("/v1/sessions", headers=self._sessiond.authorization, json=body)
        return answer.raise_for_status()

    def ask(self, cookies: str) -> httpx.Response:
        return self.http.get("/v1/session", headers={"Cookie": cookies})


@contextlib.contextmanager
def shop_before(sessiond: ServerProcess) -> Iterator[str]:
    """Run the application on a free port; yield its URL."""
    shop = _Shop(sessiond)
    thread = threading.Thread(target=shop.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{shop.server_port}"
    finally:
        shop.shutdown()
        thread.join()
        shop.server_close()
        shop.http.close()
