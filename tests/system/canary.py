"""Every secret that a run of every dialect brings to light, and where it must not be found again."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import httpx

from tests.server_process import ServerProcess
from tests.system.main_calls import add_stack_user, in_an_hour
from tests.system.writers import bearer

DEFAULT_PROJECT = "00000000-0000-4000-8000-000000000001"
STORAGE = "/api/v1/session-storage"

_OPAQUE_LENGTH = 91
_TAG_BYTES = 16
_LEAST_NEEDLE = 8


class Run:
    """Drives every dialect of *server* and gathers the secrets: tokens that it made, and what was told to it."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.tokens: dict[str, str] = {}
        self.told = {
            "server key": server.server_key,
            "master token": server.master_token,
            "PIN": f"pin-{uuid.uuid4()}",
            "wrong PIN": f"wrong-{uuid.uuid4()}",
            "device identifier": f"device-{uuid.uuid4()}",
            # What is kept of these for people, their beginnings, looks like no other text that is kept.
            "vault token": f"Kept+Tkn.{uuid.uuid4()}.vault.{uuid.uuid4()}",
            "replaced vault token": f"Repl+Tkn.{uuid.uuid4()}.vault.{uuid.uuid4()}",
            "deleted vault token": f"Dele+Tkn.{uuid.uuid4()}.vault.{uuid.uuid4()}",
            "invented token": f"sda1_{uuid.uuid4().hex}{uuid.uuid4().hex}",
        }

    def drive(self) -> None:
        """Use every dialect, with what passes and with what is refused."""
        with httpx.Client(base_url=self.server.url) as http:
            self._native(http)
            self._browser(http)
            self._oauth(http)
            self._pin(http)
            self._operator(http)
            self._device(http)
            self._stack(http)
            self._vault(http)
            self._refused(http)

    def _native(self, http: httpx.Client) -> None:
        key = self.server.authorization
        opaque = http.post("/v1/sessions", headers=key, json={"subject": "canary"}).json()
        self._keep("native", opaque)
        renewed = http.post("/v1/session/refresh", json={"refresh_token": opaque["refresh_token"]}).json()
        self._keep("refreshed native", renewed)
        jwt = http.post("/v1/sessions", headers=key, json={"subject": "canary", "format": "jwt"}).json()
        self._keep("native JWT", jwt)
        cookie = http.post("/v1/sessions", headers=key, json={"subject": "canary", "delivery": "cookie"})
        self.tokens["browser"] = cookie.cookies["sid"]
        http.cookies.clear()
        for token in self.tokens.values():
            http.get("/v1/session", headers=bearer(token))
            http.get("/v1/verify", headers={"Cookie": f"sid={token}"})
        assert http.delete("/v1/session", headers=bearer(jwt["access_token"])).status_code == 204

    def _browser(self, http: httpx.Client) -> None:
        key = self.server.authorization | {"Idempotency-Key": str(uuid.uuid4())}
        body = {"subject": "canary-2", "delivery": "cookie", "browser": self.tokens["browser"]}
        joined = http.post("/v1/sessions", headers=key, json=body)
        self.tokens["joined browser"] = http.cookies["sid"]
        (_, other) = http.get("/v1/session/accounts").json()["items"]
        switched = http.post("/v1/session/switch", json={"session": other["session"]})
        self.tokens["switched browser"] = http.cookies["sid"]
        http.cookies.clear()
        assert (joined.status_code, switched.status_code) == (201, 200)

    def _oauth(self, http: httpx.Client) -> None:
        key = self.server.authorization
        created = http.post("/v1/sessions", headers=key, json={"subject": "canary"}).json()
        self._keep("OAuth", created)
        form = {"grant_type": "refresh_token", "refresh_token": created["refresh_token"]}
        renewed = http.post("/oauth/token", data=form).json()
        self._keep("OAuth refreshed", renewed)
        exchange = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": renewed["access_token"],
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": "canary",
        }
        exchanged = http.post("/oauth/token", headers=key, data=exchange).json()
        self.tokens["OAuth exchanged"] = exchanged["access_token"]
        basic = httpx.BasicAuth(DEFAULT_PROJECT, self.server.server_key)
        for token in (exchanged["access_token"], self.told["invented token"]):
            assert http.post("/oauth/introspect", auth=basic, data={"token": token}).status_code == 200
        assert http.post("/oauth/revoke", data={"token": renewed["refresh_token"]}).status_code == 200

    def _pin(self, http: httpx.Client) -> None:
        done = self.server.run("users", "add", "till", "--pin-stdin", stdin=self.told["PIN"])
        assert done.returncode == 0, done.stderr
        wrong = http.post("/auth/login", json={"name": "till", "pin": self.told["wrong PIN"]})
        assert wrong.status_code == 401
        for number in range(2):
            answer = http.post("/auth/login", json={"name": "till", "pin": self.told["PIN"]})
            assert answer.status_code == 200
            for name, value in answer.cookies.items():
                self.tokens[f"{name} {number}"] = value
        renewed = http.post("/auth/refresh").json()["accessToken"]
        self.tokens["refreshed accessToken"] = renewed
        assert http.post("/auth/logout").status_code == 200
        http.cookies.clear()

    def _operator(self, http: httpx.Client) -> None:
        master = bearer(self.server.master_token)
        self.tokens["operator"] = http.post("/api/auth/session", headers=master).json()["session_token"]
        http.get("/v1/sessions", params={"subject": "canary"}, headers=bearer(self.tokens["operator"]))
        login = http.post("/api/auth/login", json={"token": self.server.master_token})
        self.tokens["operator cookie"] = login.cookies["pocketpaw_session"]
        http.post("/api/auth/logout")
        http.cookies.clear()

    def _device(self, http: httpx.Client) -> None:
        body = {"identifier": self.told["device identifier"]}
        for number in range(2):
            answer = http.post("/api/sessions", json=body)
            self.tokens[f"device {number}"] = answer.json()["data"]["token"]

    def _stack(self, http: httpx.Client) -> None:
        user = add_stack_user(http, self.server)
        body = {"user_id": user, "is_impersonation": True}
        self._keep("stack", http.post("/auth/sessions", headers=self.server.authorization, json=body).json())
        client = {"X-Stack-Project-Id": DEFAULT_PROJECT, "X-Stack-Access-Type": "client"}
        anonymous = http.post("/api/v1/auth/anonymous/sign-up", headers=client).json()
        self._keep("stack anonymous", {k: v for k, v in anonymous.items() if k != "user_id"})
        form = {
            "grant_type": "refresh_token",
            "client_id": DEFAULT_PROJECT,
            "client_secret": "__stack_public_client__",
            "refresh_token": self.tokens["stack refresh_token"],
        }
        renewed = http.post("/api/v1/auth/oauth/token", data=form).json()
        self.tokens["stack oauth"] = renewed["access_token"]

    def _vault(self, http: httpx.Client) -> None:
        ids = []
        for name in ("vault token", "replaced vault token", "deleted vault token"):
            body = {"user_id": "usr_canary", "token": self.told[name], "expires_at": in_an_hour()}
            saved = http.post(STORAGE, json=body, headers={"Idempotency-Key": f"key-{name[:4]}"})
            assert saved.status_code == 201, saved.text
            ids.append(saved.json()["id"])
        assert http.get(f"{STORAGE}/{ids[0]}").json()["token"] == self.told["vault token"]
        again = {"token": f"{self.told['vault token']}-again", "expires_at": in_an_hour()}
        assert http.put(f"{STORAGE}/{ids[1]}", json=again).status_code == 200
        assert http.delete(f"{STORAGE}/{ids[2]}").status_code == 200
        assert http.get(STORAGE).status_code == http.get(f"{STORAGE}/current").status_code == 200

    def _refused(self, http: httpx.Client) -> None:
        """Show secrets where they do not belong: in URLs, in bodies that cannot be read, as the wrong kind."""
        for name, secret in (self.told | self.tokens).items():
            http.get("/v1/session", params={"access_token": secret}, headers=bearer(secret))
            http.get(f"/v1/{secret}")
            http.delete(f"{STORAGE}/{secret}")
            http.get("/v1/verify", headers={"Cookie": f"sid={secret}; accessToken={secret}"})
            http.post("/v1/session/refresh", json={"refresh_token": secret})
            http.post("/v1/session/refresh", json={"refresh_token": secret, secret: name})
            http.post("/v1/session/refresh", content=f'{{"refresh_token": "{secret}"', headers=_JSON)
            http.post("/auth/login", content=f'{{"name": "till", "pin": "{secret}"', headers=_JSON)
            http.post("/api/v1/auth/sessions", headers={"X-Stack-Secret-Server-Key": secret})

    def _keep(self, whose: str, answer: dict[str, str]) -> None:
        for name in ("access_token", "refresh_token"):
            self.tokens[f"{whose} {name}"] = answer[name]


_JSON = {"Content-Type": "application/json"}


class Secrets(Protocol):
    """What must not be found: tokens that were made, and what was told, by words for each."""

    tokens: dict[str, str]
    told: dict[str, str]


def needles(run: Secrets) -> Iterator[tuple[str, bytes]]:
    """Yield every form in which a secret might lie somewhere, with words for it."""
    for name, text in run.told.items():
        middle = len(text) // 2
        parts = {"": text, "first half of ": text[:middle], "second half of ": text[middle:]}
        if name in {"server key", "master token"}:
            parts = {"": text}  # the halves of these two are words
        if "vault" in name:
            yield f"preview of {name}", text[:_LEAST_NEEDLE].encode()
        for which, part in parts.items():
            yield from _forms(which + name, part.encode())
    for name, token in run.tokens.items():
        yield from _forms(name, token.encode())
        for which, raw in _token_parts(token).items():
            yield f"{which} of {name}", raw


def _token_parts(token: str) -> dict[str, bytes]:
    """Return the parts of a token that would help to make it: halves of its body, and its tag or signature."""
    if token.startswith("session:"):
        body = token.rpartition(":")[2]
        raw = bytes.fromhex(body)
    elif token.count(".") == 2:  # a JWT: header and claims are known to everybody who holds the row
        body = token.rpartition(".")[2]
        raw = _decoded(body)
    elif len(token) == _OPAQUE_LENGTH:
        body = token[5:-6]
        raw = _decoded(body)
    else:
        middle = len(token) // 2
        return {"first half": token[:middle].encode(), "second half": token[middle:].encode()}
    middle = len(body) // 2
    return {
        "first half": body[:middle].encode(),
        "second half": body[middle:].encode(),
        "raw tag": raw[-_TAG_BYTES:],
        "tag in hex": raw[-_TAG_BYTES:].hex().encode(),
    }


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _forms(name: str, secret: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, secret
    yield f"{name} in hex", secret.hex().encode()
    yield f"{name} in capital hex", secret.hex().upper().encode()
    yield f"{name} in UTF-16", secret.decode().encode("utf-16-le")
    for shift in range(3):
        # What base64 makes of it does not depend on its surroundings, but for the characters at both ends.
        encoded = base64.b64encode(bytes(shift) + secret)[4 if shift else 0 : -4]
        yield f"{name} in base64 from {shift}", encoded
        yield f"{name} in base64url from {shift}", encoded.replace(b"+", b"-").replace(b"/", b"_")


def found(run: Secrets, places: dict[str, bytes]) -> list[str]:
    """Return which secret is in which place."""
    everything = list(needles(run))
    assert all(len(needle) >= _LEAST_NEEDLE for _, needle in everything)
    return [
        f"{name} in {place}"
        for place, content in places.items()
        for name, needle in everything
        if needle in content
    ]


def files_at_rest(data_dir: Path) -> dict[str, bytes]:
    """Return what every file in the data directory holds, but for those in `secrets`."""
    secrets = data_dir / "secrets"
    paths = (path for path in data_dir.rglob("*") if path.is_file() and not path.is_relative_to(secrets))
    return {str(path.relative_to(data_dir)): path.read_bytes() for path in paths}
