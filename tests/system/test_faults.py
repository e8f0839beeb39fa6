"""What fails beneath a running server: a full disk, a locked or replaced database. It refuses, and comes back."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.main_calls import Call, add_pin_user, add_stack_user, main_calls
from tests.system.refusals import assert_refused
from tests.system.rooms import FileSizeLimit, Room, small_disk_at
from tests.system.waiting import eventually
from tests.system.writers import bearer

pytestmark = pytest.mark.slow

MOST_CREATES = 2000


class Bench:
    """A server with a user of each dialect, and the sessions that it acknowledged."""

    def __init__(self, server: ServerProcess, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        add_pin_user(server, "anna")
        self._user = add_stack_user(self.http, server)
        for call in self.calls():
            answer = call.send(self.http)
            assert answer.status_code == call.status, answer.text
        self.http.cookies.clear()
        self.sessions: list[dict[str, str]] = []

    def calls(self) -> list[Call]:
        """Return the main call of every dialect, with a device that is new."""
        return main_calls(self.server, pin_user="anna", stack_user=self._user)

    def create(self) -> httpx.Response:
        """Create a session; one that is acknowledged is remembered."""
        answer = self.http.post("/v1/sessions", headers=self.server.authorization, json={"subject": "alice"})
        if answer.status_code == 201:
            self.sessions.append(answer.json())
        return answer

    def status_of(self, session: dict[str, str]) -> int:
        """Return the status of a verify."""
        return self.http.get("/v1/session", headers=bearer(session["access_token"])).status_code

    def revoke(self, session: dict[str, str]) -> httpx.Response:
        """Revoke a session."""
        identifier = httpx.Response(200, json=session).json()["session"]["id"]
        return self.http.delete(f"/v1/sessions/{identifier}", headers=self.server.authorization)

    def log_lines(self) -> list[dict[str, object]]:
        """Return the lines of the log, each of which must be JSON but for what is said at the start."""
        return [json.loads(line) for line in self.server.log().splitlines() if line.startswith("{")]

    def assert_every_dialect_refuses(self) -> None:
        """Fail unless each main call gets 503 in its dialect's shape."""

        def send(call: Call) -> tuple[str, httpx.Response]:
            with httpx.Client(base_url=self.server.url) as http:
                return call.dialect, call.send(http)

        calls = self.calls()
        with ThreadPoolExecutor(len(calls)) as pool:
            for dialect, answer in pool.map(send, calls):
                assert_refused(answer, dialect, 503)
                assert answer.headers["retry-after"] == "1"


@contextlib.contextmanager
def benched(folder: Path) -> Iterator[Bench]:
    with ServerProcess.started(folder) as server, httpx.Client(base_url=server.url) as http:
        yield Bench(server, http)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with benched(tmp_path) as made:
        yield made


@pytest.fixture(params=["file size limit", "small disk"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    if request.param == "file size limit":
        yield FileSizeLimit()
    elif os.geteuid() != 0:
        pytest.skip("only root may mount a file system; the file size limit shows the same")
    else:
        with small_disk_at(tmp_path / "data") as disk:
            yield disk


def test_without_room_everything_is_refused_but_reads_and_nothing_acknowledged_is_lost(
    room: Room, tmp_path: Path
) -> None:
    with benched(tmp_path) as bench:
        first = bench.create().json()
        revoked = bench.create().json()
        assert bench.revoke(revoked).status_code == 204
        room.fill(bench.server)
        refused = next(
            answer for answer in (bench.create() for _ in range(MOST_CREATES)) if answer.status_code != 201
        )

        assert_refused(refused, "native", 503)
        bench.assert_every_dialect_refuses()
        assert bench.revoke(first).status_code == 503
        assert (bench.status_of(first), bench.status_of(revoked)) == (200, 401)
        assert [
            line for line in bench.log_lines() if str(line["event"]).startswith("the store cannot answer")
        ]
        assert not [line for line in bench.log_lines() if line.get("status") == 500]

        room.free(bench.server)
        eventually(lambda: bench.create().status_code == 201)
        assert bench.revoke(first).status_code == 204
        bench.server.kill()
        bench.server.restart()

        sessions = [session for session in bench.sessions if session not in (first, revoked)]
        assert {bench.status_of(session) for session in sessions} == {200}
        assert {bench.status_of(session) for session in (first, revoked)} == {401}


def test_a_database_that_another_process_locks_refuses_writes_and_comes_back(bench: Bench) -> None:
    known = bench.create().json()
    other = sqlite3.connect(bench.server.data_dir / "sessiond.db", isolation_level=None)
    with contextlib.closing(other):
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as beside:
            refusing = beside.submit(bench.assert_every_dialect_refuses)
            with httpx.Client(base_url=bench.server.url) as beside_it:
                verifies = 0
                while not refusing.done():
                    answer = beside_it.get("/v1/session", headers=bearer(known["access_token"]))
                    assert answer.status_code == 200
                    verifies += 1
            refusing.result()
        other.execute("ROLLBACK")

    assert verifies > 10  # one that waited for the lock would have waited as long as all the refusals
    assert "another process has locked the database" in bench.server.log()
    assert bench.create().status_code == 201
    assert bench.revoke(known).status_code == 204
    assert bench.status_of(known) == 401


def replace_database(server: ServerProcess) -> None:
    """Put a copy in the place of the open database, as a restore by hand does."""
    path = server.data_dir / "sessiond.db"
    copy = path.with_name("copy.db")
    with (
        contextlib.closing(sqlite3.connect(path)) as opened,
        contextlib.closing(sqlite3.connect(copy)) as new,
    ):
        opened.backup(new)
    copy.chmod(0o600)
    copy.replace(path)


def test_a_database_file_that_was_replaced_is_not_served_until_a_restart(bench: Bench) -> None:
    known = bench.create().json()
    replace_database(bench.server)

    # No write comes that would notice: a server that only verifies must, too.
    eventually(lambda: bench.status_of(known) == 503)
    for _ in range(2):
        assert bench.create().status_code == 503
        assert bench.status_of(known) == 503
    bench.assert_every_dialect_refuses()
    assert httpx.get(f"{bench.server.url}/readyz").status_code == 503
    assert httpx.get(f"{bench.server.url}/healthz").status_code == 200
    assert "replaced" in bench.server.log()

    assert bench.server.stop() == 0
    bench.server.restart()
    assert bench.create().status_code == 201


def test_an_older_copy_that_is_written_over_the_open_database_brings_no_session_back(bench: Bench) -> None:
    """`cp` keeps the file's number: what shows it is that events are gone which were there."""
    path, older = bench.server.data_dir / "sessiond.db", bench.server.data_dir.with_name("older.db")
    session = bench.create().json()
    with contextlib.closing(sqlite3.connect(path)) as opened:
        with contextlib.closing(sqlite3.connect(older)) as copy:
            opened.backup(copy)
        assert bench.revoke(session).status_code == 204
        (newest,) = opened.execute("SELECT max(sequence) FROM events").fetchone()
        witness = bench.server.data_dir / "secrets" / "witness"
        eventually(lambda: json.loads(witness.read_bytes())["newest_event"] >= newest)
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path.write_bytes(older.read_bytes())

    eventually(lambda: bench.status_of(session) == 503)
    assert bench.create().status_code == 503
    bench.server.stop()
    bench.server.restart()

    assert "every session has been ended" in bench.server.log()
    assert bench.status_of(session) == 401


def test_a_database_file_that_was_removed_is_not_served(bench: Bench) -> None:
    known = bench.create().json()
    shutil.move(bench.server.data_dir / "sessiond.db", bench.server.data_dir.with_name("elsewhere.db"))

    eventually(lambda: bench.status_of(known) == 503)

    assert bench.create().status_code == 503
