"""Clients that write until the server goes away, and remember what it acknowledged.

What was in flight when it went is in doubt and claimed by nobody: it may have happened or not. Everything else must
be found as it was acknowledged.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from abc import ABC, abstractmethod

import httpx

from tests.server_process import ServerProcess
from tests.system.main_calls import PIN, in_an_hour
from tests.system.waiting import WITHIN_SECONDS


class Acknowledged:
    """Counts acknowledged writes; `enough` is set when there are as many as were waited for, of all writers."""

    def __init__(self, wanted: int, *, of: int) -> None:
        self._left = wanted
        self._silent = of
        self._guard = threading.Lock()
        self.enough = threading.Event()

    def one(self, *, first: bool) -> None:
        """Count one; *first* tells whether it is its writer's first."""
        with self._guard:
            self._left -= 1
            self._silent -= first
            if self._left <= 0 and self._silent <= 0:
                self.enough.set()


class Writer(ABC):
    """One client of one dialect."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.key = server.authorization
        self.acknowledged = 0
        self.number = 0

    def write_until_gone(self, start: threading.Barrier, count: Acknowledged) -> None:
        """Write, one request after the other, until the server does not answer any more."""
        with httpx.Client(base_url=self.server.url, timeout=WITHIN_SECONDS) as http:
            start.wait()
            try:
                while True:
                    self.number += 1
                    self.write(http)
                    self.acknowledged += 1
                    count.one(first=self.acknowledged == 1)
            except httpx.TransportError:
                return

    @abstractmethod
    def write(self, http: httpx.Client) -> None:
        """Send the next write. What it may change is in doubt until its answer is there."""

    @abstractmethod
    def check(self, http: httpx.Client) -> None:
        """Fail unless everything acknowledged is there."""


def bearer(token: str) -> dict[str, str]:
    """Return the header of a request with *token*."""
    return {"Authorization": f"Bearer {token}"}


def _good(answer: httpx.Response, status: int) -> httpx.Response:
    assert answer.status_code == status, answer.text
    return answer


class NativeWriter(Writer):
    """Creates, refreshes and revokes: of every three sessions one lives on, one was refreshed, one was revoked."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server)
        self.live: dict[str, tuple[str, str]] = {}
        self.revoked: dict[str, tuple[str, str]] = {}
        self._last = ""

    def write(self, http: httpx.Client) -> None:
        match self.number % 5:
            case 2:
                self._refresh(http)
            case 4:
                self._revoke(http)
            case _:
                self._create(http)

    def _create(self, http: httpx.Client) -> None:
        body = {"subject": f"user-{self.number % 7}"}
        made = _good(http.post("/v1/sessions", headers=self.key, json=body), 201).json()
        self._last = made["session"]["id"]
        self.live[self._last] = (made["access_token"], made["refresh_token"])

    def _refresh(self, http: httpx.Client) -> None:
        # Whether it happened or not: both generations are accepted for a while, so this one is never in doubt.
        body = {"refresh_token": self.live[self._last][1]}
        made = _good(http.post("/v1/session/refresh", json=body), 200).json()
        self.live[self._last] = (made["access_token"], made["refresh_token"])

    def _revoke(self, http: httpx.Client) -> None:
        tokens = self.live.pop(self._last)
        _good(http.delete(f"/v1/sessions/{self._last}", headers=self.key), 204)
        self.revoked[self._last] = tokens

    def check(self, http: httpx.Client) -> None:
        for identifier, (access, refresh) in list(self.live.items()):
            shown = _good(http.get("/v1/session", headers=bearer(access)), 200)
            assert shown.json()["session"]["id"] == identifier
            body = {"refresh_token": refresh}
            renewed = _good(http.post("/v1/session/refresh", json=body), 200).json()
            self.live[identifier] = (renewed["access_token"], renewed["refresh_token"])
            _good(http.get("/v1/session", headers=bearer(renewed["access_token"])), 200)
        for access, refresh in self.revoked.values():
            shown = _good(http.get("/v1/session", headers=bearer(access)), 401)
            assert shown.json()["code"] == "session_revoked"
            _good(http.post("/v1/session/refresh", json={"refresh_token": refresh}), 401)


class PinWriter(Writer):
    """Signs in and, every second time, out again."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        super().__init__(server)
        self.name = name
        self.live: list[dict[str, str]] = []
        self.ended: list[dict[str, str]] = []

    def write(self, http: httpx.Client) -> None:
        http.cookies.clear()
        if self.number % 2 or not self.live:
            body = {"name": self.name, "pin": PIN}
            self.live.append(cookies_of(_good(http.post("/auth/login", json=body), 200)))
        else:
            cookies = self.live.pop()
            _good(http.post("/auth/logout", headers=_cookie_header(cookies)), 200)
            self.ended.append(cookies)

    def check(self, http: httpx.Client) -> None:
        http.cookies.clear()
        for cookies in self.live:
            _good(http.get("/v1/session", headers=bearer(cookies["accessToken"])), 200)
            _good(http.post("/auth/refresh", headers=_cookie_header(cookies)), 200)
        for cookies in self.ended:
            _good(http.get("/v1/session", headers=bearer(cookies["accessToken"])), 401)
            _good(http.post("/auth/refresh", headers=_cookie_header(cookies)), 401)


class VaultWriter(Writer):
    """Saves, replaces and deletes entries."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server)
        self.kept: dict[str, str] = {}
        self.deleted: list[str] = []
        self._last = ""
        self._path = "/api/v1/session-storage"

    def write(self, http: httpx.Client) -> None:
        match self.number % 4:
            case 2:
                self._replace(http)
            case 0:
                del self.kept[self._last]
                _good(http.delete(f"{self._path}/{self._last}", headers=self.key), 200)
                self.deleted.append(self._last)
            case _:
                self._save(http)

    def _save(self, http: httpx.Client) -> None:
        token = f"token-{uuid.uuid4()}"
        body = {"user_id": f"usr-{self.number}", "token": token, "expires_at": in_an_hour()}
        self._last = _good(http.post(self._path, headers=self.key, json=body), 201).json()["id"]
        self.kept[self._last] = token

    def _replace(self, http: httpx.Client) -> None:
        token = f"token-{uuid.uuid4()}"
        del self.kept[self._last]
        body = {"token": token, "expires_at": in_an_hour()}
        _good(http.put(f"{self._path}/{self._last}", headers=self.key, json=body), 200)
        self.kept[self._last] = token

    def check(self, http: httpx.Client) -> None:
        for identifier, token in self.kept.items():
            answer = _good(http.get(f"{self._path}/{identifier}", headers=self.key), 200)
            assert answer.json()["token"] == token
        for identifier in self.deleted:
            _good(http.get(f"{self._path}/{identifier}", headers=self.key), 404)


class StackWriter(Writer):
    """Creates users with a session each; every second one signs out."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server)
        self.live: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self._user = ""
        self._client = {
            "X-Stack-Project-Id": "00000000-0000-4000-8000-000000000001",
            "X-Stack-Access-Type": "client",
        }

    def write(self, http: httpx.Client) -> None:
        match self.number % 4:
            case 1:
                created = http.post("/api/v1/users", headers=self.key, json={"display_name": "Ann"})
                self._user = _good(created, 201).json()["id"]
            case 0:
                tokens = self.live.pop()
                headers = self._client | {"X-Stack-Access-Token": tokens[0]}
                _good(http.delete("/api/v1/auth/sessions/current", headers=headers), 200)
                self.ended.append(tokens)
            case _:
                body = {"user_id": self._user}
                made = _good(http.post("/auth/sessions", headers=self.key, json=body), 200).json()
                self.live.append((made["access_token"], made["refresh_token"]))

    def check(self, http: httpx.Client) -> None:
        path = "/api/v1/auth/sessions/current/refresh"
        for access, refresh in self.live:
            _good(http.get("/v1/session", headers=bearer(access)), 200)
            _good(http.post(path, headers=self._client | {"X-Stack-Refresh-Token": refresh}), 200)
        for access, refresh in self.ended:
            _good(http.get("/v1/session", headers=bearer(access)), 401)
            _good(http.post(path, headers=self._client | {"X-Stack-Refresh-Token": refresh}), 401)


class DeviceWriter(Writer):
    """Brings new devices."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server)
        self.devices: dict[str, str] = {}

    def write(self, http: httpx.Client) -> None:
        identifier = f"device-{uuid.uuid4()}"
        self.devices[identifier] = self._open(http, identifier)

    def _open(self, http: httpx.Client, identifier: str) -> str:
        answer = http.post("/api/sessions", headers=self.key, json={"identifier": identifier})
        return str(_good(answer, 200).json()["data"]["token"])

    def check(self, http: httpx.Client) -> None:
        for identifier, token in self.devices.items():
            _good(http.get("/v1/session", headers=bearer(token)), 200)
            assert _claim(self._open(http, identifier), "session") == _claim(token, "session")


class OperatorWriter(Writer):
    """Signs an operator in with the master token and, every second time, out again."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__(server)
        self.live: list[str] = []
        self.ended: list[str] = []

    def write(self, http: httpx.Client) -> None:
        http.cookies.clear()
        if self.number % 2 or not self.live:
            answer = _good(http.post("/api/auth/login", json={"token": self.server.master_token}), 200)
            self.live.append(cookies_of(answer)["pocketpaw_session"])
        else:
            token = self.live.pop()
            _good(http.post("/api/auth/logout", headers={"Cookie": f"pocketpaw_session={token}"}), 200)
            self.ended.append(token)

    def check(self, http: httpx.Client) -> None:
        http.cookies.clear()
        for token in self.live:
            _good(http.get("/v1/session", headers=bearer(token)), 200)
        for token in self.ended:
            _good(http.get("/v1/session", headers=bearer(token)), 401)


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Return the cookies that *answer* sets, by name."""
    pairs = (line.partition(";")[0].partition("=") for line in answer.headers.get_list("set-cookie"))
    return {name: value for name, _, value in pairs}


def _cookie_header(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={cookies[name]}" for name in ("accessToken", "refreshToken"))}


def _claim(token: str, name: str) -> object:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name]
