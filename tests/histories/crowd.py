"""Clients that use several nodes at once over TCP and keep a history of all they asked and were told.

Three clients share a family: a subject with its sessions, so that creates, verifies, refreshes and revokes of the same
session overlap, on both nodes. After some operations a family goes on with a new subject, so that parts stay small.
What clients choose is drawn from seeded generators; how they interleave is not repeatable, and need not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from sessiond.crypto import tokens
from tests.histories.checker import describe, forks, unexplained
from tests.histories.client import Client, Told
from tests.histories.model import Model
from tests.histories.operations import (
    Action,
    Answer,
    Create,
    Disable,
    Done,
    Enable,
    History,
    Issued,
    Operation,
    Refresh,
    Refreshed,
    Refused,
    Revoke,
    RevokeProject,
    RevokeSubject,
    SessionText,
    Verify,
)
from tests.progress import until
from tests.server_process import SERVER_KEY

FAMILIES, CLIENTS_OF_EACH = 5, 3
_PER_SUBJECT = 36
_RECENT = 4
_PAUSE_SECONDS = 0.02
_OK, _UNAVAILABLE = 200, 503
_SUCCESSES, _REFUSALS = {200, 201, 204}, {401, 403, 409}
_EXPECTED = {0, _UNAVAILABLE} | _SUCCESSES | _REFUSALS
_WEIGHTS = (50, 20, 12, 12, 3, 3)
_NUMBER_OF_SUBJECTS = 1_000_000


@dataclass
class Known:
    """A session that was issued to a family, and the tokens of each generation that its clients saw."""

    session: SessionText
    tokens: dict[int, tuple[str, str]] = field(default_factory=dict)

    def learn(self, told: dict[str, Any]) -> int:
        """Keep the tokens in an answer, and return their generation."""
        parsed = tokens.parse(told["refresh_token"])
        assert parsed is not None
        self.tokens[parsed.generation] = told["access_token"], told["refresh_token"]
        return parsed.generation


@dataclass
class Family:
    """A subject at a time, and the sessions of it."""

    draw: random.Random
    subject: str = ""
    left: int = 0
    sessions: list[Known] = field(default_factory=list)

    def choose(self) -> Action:
        """Return what a client does next."""
        self.left -= 1
        if self.left < 0:
            self.left, self.sessions = _PER_SUBJECT, []
            self.subject = f"subject-{self.draw.randrange(_NUMBER_OF_SUBJECTS)}-{time.monotonic_ns()}"
        if not self.sessions:
            return Create(self.subject)
        known = self.draw.choice(self.sessions[-_RECENT:])
        newest = max(known.tokens)
        generation = max(0, newest - self.draw.choices([0, 1, 2], [80, 16, 4])[0])
        generation = generation if generation in known.tokens else newest
        possible: tuple[Action, ...] = (
            Verify(known.session, generation),
            Refresh(known.session, generation),
            Create(self.subject),
            Revoke(known.session),
            RevokeSubject(self.subject),
            Disable(self.subject),
        )
        return self.draw.choices(possible, _WEIGHTS)[0]


class Crowd:
    """Many clients of several nodes; *refused* counts each node's answers of 503."""

    def __init__(self, urls: Sequence[str], *, seed: int = 0) -> None:
        self.history: History = []
        self.defects: list[str] = []
        self.refused: Counter[int] = Counter()
        self.written: Counter[int] = Counter()
        self._urls = urls
        self._known: dict[SessionText, Known] = {}
        self._families = [Family(random.Random(f"{seed} {n}")) for n in range(FAMILIES)]
        self._threads = ThreadPoolExecutor(FAMILIES * CLIENTS_OF_EACH)
        self._clients: list[asyncio.Task[None]] = []
        self._waiting = 0
        self._moved = asyncio.Event()
        self._stopped = False

    @classmethod
    @contextlib.asynccontextmanager
    async def at(cls, *urls: str, seed: int = 0) -> AsyncIterator[Crowd]:
        """Let clients use the nodes at *urls* while the body runs; then stop them and look at every session again."""
        crowd = cls(urls, seed=seed)
        families = [family for family in crowd._families for _ in range(CLIENTS_OF_EACH)]
        crowd._clients = [asyncio.create_task(crowd._client(family, n)) for n, family in enumerate(families)]
        for client in crowd._clients:
            client.add_done_callback(lambda _: crowd._moved.set())
        try:
            yield crowd
            crowd._stopped = True
            await asyncio.gather(*crowd._clients)
            await crowd.look_again()
        finally:
            crowd._stopped = True
            await asyncio.gather(*crowd._clients, return_exceptions=True)
            crowd._threads.shutdown()

    # -- what a test waits for and looks at ---------------------------------------------------------------------

    async def acknowledged(self, count: int) -> None:
        """Return once every node has acknowledged so many writes more."""
        before = self.written.copy()
        nodes = range(len(self._urls))
        await self.until(lambda: all(self.written[n] >= before[n] + count for n in nodes))

    async def recovered(self) -> None:
        """Return once no client waits for a node that refused it."""
        await self.until(lambda: self._waiting == 0)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once what the clients did has *reached* something; raise what any of them failed with."""
        await until(reached, self._clients, self._moved, self._told)

    def _told(self) -> str:
        return f"refused: {self.refused}, written: {self.written}, clients that wait: {self._waiting}"

    async def look_again(self) -> None:
        """Verify every session on every node."""
        with contextlib.closing(Client(self._urls)) as client:
            for known in list(self._known.values()):
                newest = max(known.tokens)
                for node in range(len(self._urls)):
                    await self._carry_out(client, node, Verify(known.session, newest))

    def faults(self, model: Model | None = None, *, bound_ns: int = 0) -> str:
        """Return what is wrong with what the clients were told, if verifies may be so stale; empty where nothing is."""
        forked = [f"two tokens of one generation: {each}" for each in forks(self.history)]
        found = unexplained(self.history, model, bound_ns=bound_ns)
        return "\n".join(filter(None, [*self.defects, *forked, describe(found)]))

    async def note(self, action: Action, doing: Awaitable[object]) -> None:
        """Have *action* in the history, that was carried out when *doing* returned."""
        invoked = time.monotonic_ns()
        await doing
        self.history.append(Operation(invoked, time.monotonic_ns(), action, Done()))

    def some_session(self) -> SessionText:
        """Return a session that no client has tried to end yet."""
        ended = {each.action.session for each in self.history if isinstance(each.action, Revoke)}
        return next(session for session in reversed(self._known) if session not in ended)

    # -- the clients --------------------------------------------------------------------------------------------

    async def _client(self, family: Family, number: int) -> None:
        node = number % len(self._urls)
        with contextlib.closing(Client(self._urls)) as client:
            while not self._stopped:
                action = family.choose()
                answer = await self._carry_out(client, node, action, family)
                if isinstance(action, Disable):
                    answer = await self._carry_out(client, node, Enable(action.subject), family)
                if answer is None:
                    self._waiting += 1
                    await self._until_it_answers(client, node, family)
                    self._waiting -= 1
                self._moved.set()
                node = family.draw.randrange(len(self._urls))

    async def _until_it_answers(self, client: Client, node: int, family: Family) -> None:
        """Wait as a client does before it asks again: by reading, so that few writes are in doubt."""
        path = f"/v1/sessions?subject={quote(family.subject)}"
        while not self._stopped:
            told = await self._ask(client, node, "GET", path, bearer=SERVER_KEY)
            if told.status == _OK:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _carry_out(
        self, client: Client, node: int, action: Action, family: Family | None = None
    ) -> Answer | None:
        told = await self._ask(client, node, **self._request(action))
        answer = self._understood(action, told, family)
        if answer is None:
            self.history.append(Operation.unknown(told.invoked, action))
        else:
            self.history.append(Operation(told.invoked, told.completed, action, answer, node))
            self.written[node] += not isinstance(action, Verify) and not isinstance(answer, Refused)
        return answer

    async def _ask(
        self, client: Client, node: int, method: str, path: str, *, bearer: str | None, body: object = None
    ) -> Told:
        asking = functools.partial(client.ask, node, method, path, bearer=bearer, body=body)
        told = await asyncio.get_running_loop().run_in_executor(self._threads, asking)
        if told.status == _UNAVAILABLE:
            self.refused[node] += 1
            self._moved.set()
        if told.status not in _EXPECTED:
            self.defects.append(f"{method} {path}: {told.status} {told.body.decode()}")
        return told

    def _request(self, action: Action) -> dict[str, Any]:
        match action:
            case Verify(session, generation):
                access, _ = self._known[session].tokens[generation]
                return {"method": "GET", "path": "/v1/session", "bearer": access}
            case Refresh(session, generation):
                _, refresh = self._known[session].tokens[generation]
                asked = {"refresh_token": refresh}
                return {"method": "POST", "path": "/v1/session/refresh", "bearer": None, "body": asked}
            case Create(subject):
                asked = {"subject": subject}
                return {"method": "POST", "path": "/v1/sessions", "bearer": SERVER_KEY, "body": asked}
            case _:
                method, path = _ending(action)
                return {"method": method, "path": path, "bearer": SERVER_KEY}

    def _understood(self, action: Action, told: Told, family: Family | None) -> Answer | None:
        """Return what was *told*; None where it leaves in doubt whether it was done."""
        if told.status in _SUCCESSES:
            return self._learned(action, told, family)
        if told.status in _REFUSALS:
            return Refused(json.loads(told.body)["code"])
        return None

    def _learned(self, action: Action, told: Told, family: Family | None) -> Answer:
        match action:
            case Create(subject):
                made = json.loads(told.body)
                known = Known(made["session"]["id"])
                known.learn(made)
                self._known[known.session] = known
                if family is not None and family.subject == subject:
                    family.sessions.append(known)
                return Issued(known.session)
            case Refresh(session, _):
                made = json.loads(told.body)
                return Refreshed(self._known[session].learn(made), made["refresh_token"])
            case _:
                return Done()


def _ending(action: Revoke | RevokeSubject | RevokeProject | Disable | Enable) -> tuple[str, str]:
    match action:
        case Revoke(session):
            return "DELETE", f"/v1/sessions/{session}"
        case RevokeSubject(subject):
            return "DELETE", f"/v1/subjects/{quote(subject)}/sessions"
        case RevokeProject():
            return "DELETE", "/v1/project/sessions"
        case Disable(subject):
            return "POST", f"/v1/subjects/{quote(subject)}/disable"
        case Enable(subject):
            return "POST", f"/v1/subjects/{quote(subject)}/enable"
