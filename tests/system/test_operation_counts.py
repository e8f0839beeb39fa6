"""What requests cost, counted and never timed: a change that makes one dearer shows here, on any machine.

The bounds are what was counted when they were written, and a tenth more where Python's versions may differ. Who goes
above one on purpose raises it and says why; who gets well below one lowers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import re
import socket
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import sessiond
from sessiond.bootstrap.opening import open_deployment
from sessiond.bootstrap.serving import build_app
from sessiond.config.loading import load
from sessiond.http import access_log
from sessiond.http.access_log import AccessLog
from sessiond.http.server import HttpServer, bind
from sessiond.storage.engine import Role
from tests.tracing import trace_statements

SERVER_KEY = "counted-server-key-0123456789abcdefghijklmn"
KEY = {"Authorization": f"Bearer {SERVER_KEY}"}
REQUESTS = 50
MOST_CALLS = {
    "verify": 60,
    "verify, past memory": 225,
    "create": 401,
    "refresh": 303,
    "list": 206,
    "list of fifty": 1040,
}

_OURS = str(Path(sessiond.__file__).parent)
_BY_THE_CLOCK = frozenset({"HttpServer._run", "HttpServer._sweep", "Protocol.sweep"})
"""Functions that run some times a second, and not for a request."""
_NOT_MEANWHILE_SECONDS = 3600

Request = tuple[str, str, dict[str, str], object]


@pytest.fixture(autouse=True)
def the_log_is_written_when_a_test_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no line be written by the clock: on a slow machine each request's would be, a dozen calls for each."""
    monkeypatch.setattr(access_log, "_FLUSH_SECONDS", _NOT_MEANWHILE_SECONDS)


class Calls:
    """Counts what code of ours calls, in every thread: functions of Python and of C."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event in {"call", "c_call"} and code.co_filename.startswith(_OURS):
            self.count += code.co_qualname not in _BY_THE_CLOCK


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Count the calls of threads that are started from now on, and of this one while it serves."""
    counting, before = Calls(), sys.getprofile()
    threading.setprofile(counting)
    yield counting
    threading.setprofile(None)
    sys.setprofile(before)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which every statement is added that any connection to a database of ours runs."""
    ran: list[str] = []
    trace_statements(monkeypatch, ran.append)
    return ran


def ask(address: tuple[str, int], requests: Iterable[Request]) -> list[dict[str, Any]]:
    """Make the requests one after the other on one connection, and return the bodies of the answers.

    Each is sent in one piece: in two, as http.client would, the server reads once or twice, as the moment has it.
    """
    found = []
    with socket.create_connection(address, timeout=120) as connection:
        for method, path, headers, body in requests:
            text = "" if body is None else json.dumps(body)
            lines = {
                "Host": "localhost",
                **headers,
                "Content-Type": "application/json",
                "Content-Length": len(text),
            }
            head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n{text}".encode())
            with contextlib.closing(http.client.HTTPResponse(connection, method=method)) as answer:
                answer.begin()
                read = json.loads(answer.read() or b"{}")
                assert answer.status < 300, read
            found.append(read)
    return found


def creates(name: str) -> list[Request]:
    return [("POST", "/v1/sessions", KEY, {"subject": f"{name}-{n}"}) for n in range(REQUESTS)]


def verifies(*tokens: str) -> list[Request]:
    return [("GET", "/v1/session", {"Authorization": f"Bearer {token}"}, None) for token in tokens]


def refreshes(*tokens: str) -> list[Request]:
    return [("POST", "/v1/session/refresh", {}, {"refresh_token": token}) for token in tokens]


class Server:
    """A whole server within this process and this loop; requests are made by another thread."""

    def __init__(self, address: tuple[str, int], log: AccessLog) -> None:
        self._address = address
        self._log = log

    async def ask(self, requests: Iterable[Request]) -> list[dict[str, Any]]:
        """Make *requests*, one after the other, and write their lines in the log: no later request pays for them."""
        answers = await asyncio.to_thread(ask, self._address, list(requests))
        self._log.flush()
        return answers

    async def counted(self, calls: Calls, requests: Sequence[Request]) -> float:
        """Return how many calls of ours a request took."""
        before = calls.count
        sys.setprofile(calls)
        await self.ask(requests)
        sys.setprofile(None)
        return (calls.count - before) / len(requests)


@contextlib.asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Server]:
    """A server as `sessiond serve` makes it, with SQLite in *data*."""
    loaded = load(flags={"data_dir": str(data)}, environ={"SESSIOND_SERVER_KEY": SERVER_KEY})
    opened = await open_deployment(loaded, Role.SERVER)
    sockets = bind("127.0.0.1", 0)
    app = build_app(opened, sockets)
    server = HttpServer(app, sockets)
    await server.start()
    host, port = server.addresses[0]
    yield Server((host, port), app.access_log)
    server.stop()
    await server.wait()
    await opened.close()


@pytest.fixture
async def server(calls: Calls, statements: list[str], tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose calls and statements are counted."""
    async with serving(tmp_path / "data") as server:
        yield server


async def test_a_verify_of_a_known_session_asks_sqlite_nothing(server: Server, statements: list[str]) -> None:
    (issued,) = await server.ask(creates("alice")[:1])
    await server.ask(verifies(issued["access_token"]))
    statements.clear()

    await server.ask(verifies(issued["access_token"]) * REQUESTS)

    assert statements == []


async def test_the_first_verify_of_a_session_that_a_known_subject_was_given_reads_no_row(
    server: Server, statements: list[str]
) -> None:
    _, issued = await server.ask(creates("alice")[:1] * 2)
    statements.clear()

    await server.ask(verifies(issued["access_token"]))

    assert [statement for statement in statements if "FROM changes" not in statement] == []


async def test_a_verify_of_an_unknown_session_is_one_statement(statements: list[str], tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as former:
        issued = await former.ask(creates("alice"))
    async with serving(tmp_path / "data") as server:
        await server.ask(verifies(issued[0]["access_token"]))
        statements.clear()

        await server.ask(verifies(*(each["access_token"] for each in issued[1:])))

        assert len(statements) == len(issued) - 1
        assert {statement.split()[0] for statement in statements} == {"SELECT"}


@pytest.mark.parametrize(
    ("requests_of", "bound"),
    [
        # What others changed, the subject; and in the transaction, with its two ends, that nobody has made the subject
        # meanwhile, the session, the subject, and the events of both.
        (lambda _: creates("bob"), 9),
        (lambda _: creates("alice"), 6),
        # The update is the check of the version, too.
        (lambda issued: refreshes(*(each["refresh_token"] for each in issued)), 5),
    ],
    ids=["create of a new subject", "create of a known subject", "refresh"],
)
async def test_a_write_is_so_many_statements_and_no_more(
    server: Server,
    statements: list[str],
    requests_of: Callable[[list[dict[str, Any]]], list[Request]],
    bound: int,
) -> None:
    issued = await server.ask(creates("alice"))
    statements.clear()

    await server.ask(requests_of(issued))

    assert len(statements) <= bound * REQUESTS, statements[: bound * 2]


async def test_a_refresh_leaves_every_index_alone(
    server: Server, statements: list[str], tmp_path: Path
) -> None:
    (issued,) = await server.ask(creates("alice")[:1])
    statements.clear()

    await server.ask(refreshes(issued["refresh_token"]))

    (update,) = [each for each in statements if each.startswith("UPDATE sessions")]
    written = set(re.findall(r"(\w+) = ", update.partition(" WHERE ")[0]))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sessiond.db")) as database:
        indexed = {
            column
            for (index,) in database.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions'"
            )
            for _, _, column in database.execute(f"PRAGMA index_info({index})")
        }
    assert {"subject", "expires_at", "revoked_at"} <= indexed
    assert "generation" in written
    assert written.isdisjoint(indexed)


async def test_a_request_makes_so_many_calls_and_no_more(calls: Calls, tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as former:
        issued = await former.ask(creates("alice"))
    async with serving(tmp_path / "data") as server:
        found = await calls_of_requests(server, calls, issued)

    dearer = {name: count for name, count in found.items() if count > MOST_CALLS[name]}
    assert dearer == {}


async def calls_of_requests(
    server: Server, calls: Calls, issued: Sequence[dict[str, Any]]
) -> dict[str, float]:
    """Return how many calls each request takes of a server that has none of the *issued* sessions in memory."""
    known = verifies(issued[0]["access_token"]) * REQUESTS
    await server.ask(known[:1])
    await server.ask([("POST", "/v1/sessions", KEY, {"subject": "crowd"})] * REQUESTS)

    return {
        "verify": await server.counted(calls, known),
        "verify, past memory": await server.counted(
            calls, verifies(*(each["access_token"] for each in issued[1:]))
        ),
        "create": await server.counted(calls, creates("bob")),
        "refresh": await server.counted(calls, refreshes(*(each["refresh_token"] for each in issued))),
        "list": await server.counted(calls, [("GET", "/v1/sessions?subject=bob-1", KEY, None)] * REQUESTS),
        "list of fifty": await server.counted(calls, [("GET", "/v1/sessions?subject=crowd", KEY, None)] * 10),
    }


async def test_verifies_keep_no_memory(server: Server) -> None:
    (issued,) = await server.ask(creates("alice")[:1])
    known = verifies(issued["access_token"]) * 300
    await server.ask(known)
    gc.collect()
    before = sys.getallocatedblocks()

    await server.ask(known)

    gc.collect()
    assert sys.getallocatedblocks() - before < 300
