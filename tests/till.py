"""A till: what a client of the name and PIN dialect sends, and what it reads from the answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import httpx

from tests.server_process import ServerProcess

NAME, PIN = "cashier", "0000"
REFUSED = {"message": "Invalid credentials"}
THIRTY_DAYS = 2_592_000


def with_user(server: ServerProcess, name: str = NAME, pin: str = PIN) -> ServerProcess:
    added = server.run("users", "add", name, "--pin-stdin", stdin=f"{pin}\n")
    assert added.returncode == 0, added.stderr
    return server


def login(
    server: ServerProcess,
    name: str = NAME,
    pin: str = PIN,
    *,
    address: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=server.url, transport=transport) as client:
        return client.post("/auth/login", json={"name": name, "pin": pin}, headers=headers)


def signed_in(server: ServerProcess, name: str = NAME, pin: str = PIN) -> dict[str, str]:
    answer = login(server, name, pin)
    assert answer.status_code == 200, answer.text
    return {name: cookie.partition(";")[0] for name, cookie in set_cookies(answer).items()}


def set_cookies(answer: httpx.Response) -> dict[str, str]:
    """Return each `Set-Cookie` by its name, without the name."""
    pairs = (line.partition("=") for line in answer.headers.get_list("set-cookie"))
    return {name: rest for name, _, rest in pairs}


def post(
    server: ServerProcess, path: str, *cookies: str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a request with one `Cookie` header for each of *cookies*."""
    sent = [("Cookie", cookie) for cookie in cookies] + list((headers or {}).items())
    return httpx.post(server.url + path, headers=sent)


def refresh(server: ServerProcess, token: str) -> httpx.Response:
    return post(server, "/auth/refresh", f"refreshToken={token}")


def logout(server: ServerProcess, **tokens: str) -> httpx.Response:
    return post(server, "/auth/logout", *(f"{name}={token}" for name, token in tokens.items()))


def shown(server: ServerProcess, token: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/session", headers={"Cookie": f"accessToken={token}"})


def claims_of(token: str) -> dict[str, object]:
    _, payload, _ = token.split(".")
    decoded: dict[str, object] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return decoded
