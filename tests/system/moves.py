"""`sessiond migrate` as an operator runs it, and a deployment with some of everything to be moved."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.server_process import WITHIN_SECONDS, ServerProcess, sessiond_command
from tests.system.main_calls import PIN, in_an_hour
from tests.system.writers import bearer

VAULT = "/api/v1/session-storage"
THEIR_TOKEN = "a-token-of-another-service"
MOST_SESSIONS = 7


def environment(source: str, target: str) -> dict[str, str]:
    """Return the environment of a move: the URLs lie in it, as an operator keeps passwords off command lines."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")}
    return kept | {"SESSIOND_MIGRATE_FROM": source, "SESSIOND_MIGRATE_TO": target}


def begun(source: str, target: str, *arguments: str) -> subprocess.Popen[str]:
    """Begin `sessiond migrate`."""
    return subprocess.Popen(
        [*sessiond_command(), "migrate", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(source, target),
    )


def migrate(source: str, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sessiond migrate` to its end."""
    with begun(source, target, *arguments) as process:
        try:
            out, err = process.communicate(timeout=WITHIN_SECONDS)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def switched(source: str, target: str) -> dict[str, Any]:
    """Switch, and return the answer."""
    done = migrate(source, target, "--switch", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def on(database: str) -> dict[str, str]:
    """Return the settings of a node on *database*."""
    return {"SESSIOND_DATABASE": database}


class Everything:
    """Some of everything that a deployment keeps, made over TCP, and what must be true of it wherever it lies."""

    def __init__(self, server: ServerProcess) -> None:
        with httpx.Client(base_url=server.url, headers=server.authorization) as http:
            self.live = _made(http, {"subject": "alice", "metadata": {"plan": "pro", "n": [1, 2.5, None]}})
            self.jwt = _made(http, {"subject": "alice", "format": "jwt"})
            rotated = _made(http, {"subject": "bob"})
            self.refreshed = _answered(
                http.post("/v1/session/refresh", json={"refresh_token": rotated["refresh_token"]}), 200
            )
            self.reused = rotated["refresh_token"]
            self.revoked = _made(http, {"subject": "carol"})
            _answered(http.delete(f"/v1/sessions/{_id(self.revoked)}"), 204)
            self.ended_together = _made(http, {"subject": "dave"})
            _answered(http.delete("/v1/subjects/dave/sessions"), 204)
            acting = {"actor": {"session": _id(self.live)}, "reason": "cannot see her invoices"}
            _made(http, {"subject": "erin"})
            self.impersonation = _answered(http.post("/v1/subjects/erin/impersonate", json=acting), 201)
            self.body, self.key = {"subject": "frank"}, {"Idempotency-Key": "once-and-only-once"}
            self.created_once = _id(
                _answered(http.post("/v1/sessions", json=self.body, headers=self.key), 201)
            )
            entry = {"user_id": "alice", "token": THEIR_TOKEN, "expires_at": in_an_hour()}
            self.entry = _answered(http.post(VAULT, json=entry), 201)["id"]
            operator = bearer(server.master_token)
            _answered(http.post("/v1/keys/rotate", json={"kind": "root"}, headers=operator), 200)
            limit = {"max_sessions": MOST_SESSIONS}
            _answered(http.patch("/v1/policy", json=limit, headers=operator), 200)
        ran = [
            server.run("users", "add", "anna", "--pin-stdin", stdin=f"{PIN}\n"),
            server.run("projects", "add", "second"),
        ]
        assert [done.returncode for done in ran] == [0, 0], ran

    def check(self, server: ServerProcess) -> None:
        """Assert that a node serves all of it as it was, and goes on with it."""
        with httpx.Client(base_url=server.url, headers=server.authorization) as http:
            for alive in (self.live, self.jwt, self.refreshed, self.impersonation):
                assert _verified(http, alive).status_code == 200, _verified(http, alive).text
            shown = _answered(http.get(f"/v1/sessions/{_id(self.live)}"), 200)["session"]
            assert shown["metadata"] == {"plan": "pro", "n": [1, 2.5, None]}
            codes = [_verified(http, each).json()["code"] for each in (self.revoked, self.ended_together)]
            assert codes == ["session_revoked", "subject_sessions_revoked"]
            again = _answered(http.post("/v1/sessions", json=self.body, headers=self.key), 201, 200)
            assert _id(again) == self.created_once
            kept = _answered(http.get(f"{VAULT}/{self.entry}"), 200)
            assert kept["token"] == THEIR_TOKEN, kept
            signed_in = http.post(
                "/auth/login", json={"name": "anna", "pin": PIN}, headers={"Authorization": ""}
            )
            assert signed_in.status_code == 200, signed_in.text
            rotated = http.post(
                "/v1/session/refresh", json={"refresh_token": self.refreshed["refresh_token"]}
            )
            self.refreshed = _answered(rotated, 200)
            reused = _made(http, {"subject": "grace"})
            _answered(http.delete(f"/v1/sessions/{_id(reused)}"), 204)
            assert _answered(http.get("/v1/policy"), 200)["policy"]["max_sessions"] == MOST_SESSIONS
            second = bearer(server.master_token) | {"Sessiond-Project": "second"}
            assert _answered(http.get("/v1/sessions", headers=second), 200)["items"] == []

    def timeline(self, server: ServerProcess) -> object:
        """Return what is told of the session that was revoked."""
        with httpx.Client(base_url=server.url, headers=server.authorization) as http:
            return _answered(http.get(f"/v1/sessions/{_id(self.revoked)}/timeline"), 200)


def sqlite(folder: Path, name: str) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{folder}/{name}/sessiond.db"


def _made(http: httpx.Client, body: Mapping[str, object]) -> dict[str, Any]:
    made: dict[str, Any] = _answered(http.post("/v1/sessions", json=body), 201)
    return made


def _answered(answer: httpx.Response, *statuses: int) -> Any:  # noqa: ANN401  JSON
    assert answer.status_code in statuses, (answer.request.url, answer.text)
    return answer.json() if answer.content else None


def _verified(http: httpx.Client, tokens: Mapping[str, Any]) -> httpx.Response:
    return http.get("/v1/session", headers={"Authorization": f"Bearer {tokens['access_token']}"})


def _id(made: Mapping[str, Any]) -> str:
    return str(made["session"]["id"])


class _Client:
    """One client with sessions of its own: it remembers what was acknowledged, and what was not."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self.crowd = crowd
        self.subject = f"client-{number}"
        self.live: dict[str, dict[str, Any]] = {}
        self.revoked: dict[str, dict[str, Any]] = {}
        self.in_doubt: set[str] = set()

    def __call__(self) -> None:
        """Do one thing after the other, until the crowd is over and the node refuses."""
        crowd = self.crowd
        with httpx.Client(base_url=crowd.server.url, headers=crowd.server.authorization) as http:
            while not crowd.over.is_set():
                made = self._done("create", http.post("/v1/sessions", json={"subject": self.subject}))
                if made is None:
                    continue
                self.live[_id(made)] = made
                self._refresh(http, _id(made))
                self._verify(http, self.live[_id(made)])
                if len(self.live) % 2 == 0:
                    self._revoke(http, _id(made))

    def _refresh(self, http: httpx.Client, session: str) -> None:
        body = {"refresh_token": self.live[session]["refresh_token"]}
        refreshed = self._done("refresh", http.post("/v1/session/refresh", json=body))
        if refreshed is not None:
            self.live[session] |= refreshed

    def _verify(self, http: httpx.Client, tokens: Mapping[str, Any]) -> None:
        self._done("verify", _verified(http, tokens))

    def _revoke(self, http: httpx.Client, session: str) -> None:
        answer = http.delete(f"/v1/sessions/{session}")
        tokens = self.live.pop(session)
        if self._done("revoke", answer) is None:
            self.in_doubt.add(session)
        else:
            self.revoked[session] = tokens

    def _done(self, verb: str, answer: httpx.Response) -> dict[str, Any] | None:
        """Return the answer where it was acknowledged; anything but that is a 503 that says when to come back."""
        if answer.is_success:
            self.crowd.count(verb)
            acknowledged: dict[str, Any] = answer.json() if answer.content else {}
            return acknowledged
        if answer.status_code != 503 or "retry-after" not in answer.headers:
            self.crowd.unexplained.append(f"{verb}: {answer.status_code} {answer.text}")
        return None


class Crowd:
    """Clients of one node, who go on whatever it answers."""

    CLIENTS = 4

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.over = threading.Event()
        self.unexplained: list[str] = []
        self.clients = [_Client(self, number) for number in range(self.CLIENTS)]
        self._counts: Counter[str] = Counter()
        self._guard = threading.Lock()

    def count(self, verb: str) -> None:
        """Count what was acknowledged."""
        with self._guard:
            self._counts[verb] += 1

    def acknowledged(self, verb: str) -> int:
        """Return how often *verb* was acknowledged."""
        with self._guard:
            return self._counts[verb]

    def refused_everywhere(self) -> bool:
        """Tell whether the node that they were clients of refuses whatever is asked, and says why."""
        tokens = next(iter(self.clients[0].live.values()))
        with httpx.Client(base_url=self.server.url, headers=self.server.authorization) as http:
            answers = [
                _verified(http, tokens),
                http.post("/v1/session/refresh", json={"refresh_token": tokens["refresh_token"]}),
                http.post("/v1/sessions", json={"subject": "late"}),
                http.delete(f"/v1/sessions/{_id(tokens)}"),
                http.get("/readyz"),
            ]
        moved = ["moved to another database" in answer.text for answer in answers]
        waits = ["retry-after" in answer.headers for answer in answers]
        assert all(moved), [answer.text for answer in answers]
        return all(waits) and {answer.status_code for answer in answers} == {503}

    def check(self, server: ServerProcess) -> None:
        """Assert that a node knows every session that was acknowledged, and refuses every one that was revoked."""
        with httpx.Client(base_url=server.url, headers=server.authorization) as http:
            for client in self.clients:
                for tokens in client.live.values():
                    answer = _verified(http, tokens)
                    assert answer.status_code == 200, answer.text
                for tokens in client.revoked.values():
                    assert _verified(http, tokens).json()["code"] == "session_revoked"
                everyone = {*client.live, *client.revoked, *client.in_doubt}
                listed = _listed(http, client.subject)
                assert everyone <= listed, everyone - listed


def _listed(http: httpx.Client, subject: str) -> set[str]:
    """Return every session of a subject, those that ended included."""
    found: set[str] = set()
    params = {"subject": subject, "state": "all", "limit": "100"}
    while True:
        page = _answered(http.get("/v1/sessions", params=params), 200)
        found |= {each["id"] for each in page["items"]}
        if page["next"] is None:
            return found
        params["after"] = page["next"]
