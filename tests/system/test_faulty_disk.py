"""A disk that fails beneath a running server or a command, at any of their writes, or that forgets what was synced."""

from __future__ import annotations

import contextlib
import errno
import json
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.disks.faulty import Action, FaultyDisk, compiled
from tests.server_process import ServerProcess
from tests.system.refusals import assert_refused
from tests.system.waiting import WITHIN_SECONDS, eventually
from tests.system.writers import Acknowledged, NativeWriter, OperatorWriter, VaultWriter, Writer, bearer

pytestmark = [pytest.mark.slow, pytest.mark.in_files]

ENDS = (Action.TEAR, Action.CUT, Action.KILL)
KINDS = (NativeWriter, NativeWriter, NativeWriter, VaultWriter, OperatorWriter)
ROUNDS = 2
SOAK_ROUNDS = 40
FOR_LONG = 1_000_000
OUTLIVES = {"SESSIOND_POLICY_ACCESS_TOKEN_LIFETIME": "24h"}
"""On a busy machine a soak takes longer than access tokens live by default: they would be refused for that alone."""
LOUDLY = "every session has been ended"


class OnFaultyDisk:
    """A server on a faulty disk, and the disk."""

    def __init__(self, server: ServerProcess, disk: FaultyDisk) -> None:
        self.server = server
        self.disk = disk

    def create(self) -> httpx.Response:
        """Create a session."""
        headers = self.server.authorization
        return httpx.post(f"{self.server.url}/v1/sessions", headers=headers, json={"subject": "alice"})

    def status_of(self, token: str) -> int:
        """Return the status of a verify."""
        return httpx.get(f"{self.server.url}/v1/session", headers=bearer(token)).status_code


@pytest.fixture
def made(tmp_path: Path) -> Iterator[OnFaultyDisk]:
    disk = FaultyDisk(compiled(tmp_path), tmp_path, tmp_path / "data")
    settings = disk.environment | {"SESSIOND_POLICY_GRACE": "300s", **OUTLIVES}
    with ServerProcess.started(tmp_path, settings=settings) as server:
        yield OnFaultyDisk(server, disk)


def write_until_it_crashes(made: OnFaultyDisk, point: int, action: Action) -> list[Writer]:
    """Let clients write until the server has come to *point*, and start it again."""
    writers: list[Writer] = [kind(made.server) for kind in KINDS]
    start = threading.Barrier(len(writers))
    nobody_waits = Acknowledged(0, of=len(writers))
    failures: list[BaseException] = []

    def run(writer: Writer) -> None:
        try:
            writer.write_until_gone(start, nobody_waits)
        except BaseException as error:  # noqa: BLE001  whatever it is, the test must hear of it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(writer,)) for writer in writers]
    made.disk.kill_at(point, action, seed=point)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WITHIN_SECONDS)
    assert not failures, failures
    made.server.process.wait(timeout=WITHIN_SECONDS)
    made.disk.work()
    made.server.restart()
    return writers


def crash_rounds(made: OnFaultyDisk, rounds: int) -> int:
    """Crash so many times, look after each whether all is there, and return how many writes were acknowledged."""
    everyone: list[Writer] = []
    drawn = random.Random(7)
    for number in range(rounds):
        writers = write_until_it_crashes(made, drawn.randint(1, 400), ENDS[number % len(ENDS)])
        everyone += writers
        with httpx.Client(base_url=made.server.url) as http:
            for writer in writers:
                writer.check(http)
    with httpx.Client(base_url=made.server.url) as http:
        for writer in everyone:
            writer.check(http)
    assert LOUDLY not in made.server.log()  # the witness is never ahead of what was synced
    assert '"status":500' not in made.server.log()
    return sum(writer.acknowledged for writer in everyone)


def test_a_server_that_crashes_at_a_write_has_all_it_acknowledged(made: OnFaultyDisk) -> None:
    assert crash_rounds(made, ROUNDS) > 0


@pytest.mark.soak
def test_a_server_that_crashes_many_times_has_all_it_acknowledged(
    made: OnFaultyDisk, record_property: Callable[[str, object], None]
) -> None:
    record_property("crashes", SOAK_ROUNDS)
    record_property("acknowledged writes", crash_rounds(made, SOAK_ROUNDS))


def test_while_the_disk_fails_or_is_read_only_verifies_go_on_and_writes_are_refused(
    made: OnFaultyDisk,
) -> None:
    known = made.create().json()["access_token"]
    subject = f"{made.server.url}/v1/subjects/alice/sessions"
    for error in (errno.EIO, errno.EROFS):
        made.disk.fail_at(1, error, lasting=FOR_LONG)

        for _ in range(3):
            assert_refused(made.create(), "native", 503)
            assert_refused(httpx.delete(subject, headers=made.server.authorization), "native", 503)
            assert made.status_of(known) == 200
        made.disk.work()

        eventually(lambda: made.create().status_code == 201)
        assert made.status_of(known) == 200
    assert '"status":500' not in made.server.log()

    # Nor does it start where it cannot write, and it says so in a sentence.
    assert made.server.stop() == 0
    made.disk.fail_at(1, errno.EROFS, lasting=FOR_LONG)
    with pytest.raises(AssertionError, match="did not become ready"):
        made.server.restart()
    assert "Traceback" not in made.server.log()
    made.disk.work()
    made.server.restart()
    assert made.status_of(known) == 200


def newest_event(server: ServerProcess) -> int:
    """Return the newest event of the database, once the witness has seen it."""

    def seen() -> int:
        witnessed = json.loads((server.data_dir / "secrets" / "witness").read_bytes())["newest_event"]
        with contextlib.closing(sqlite3.connect(server.data_dir / "sessiond.db")) as database:
            (stored,) = database.execute("SELECT max(sequence) FROM events").fetchone()
        return int(stored) if stored == witnessed else 0

    return eventually(seen)


def test_a_log_that_lost_what_was_acknowledged_brings_no_session_back(made: OnFaultyDisk) -> None:
    """A disk may lose what it had said to be synced; the witness knows better."""
    server, token = made.server, made.create().json()["access_token"]
    server.stop()
    server.restart()
    before = newest_event(server)
    assert httpx.delete(f"{server.url}/v1/session", headers=bearer(token)).status_code == 204
    assert newest_event(server) > before
    server.kill()
    (server.data_dir / "sessiond.db-wal").write_bytes(b"")

    server.restart()

    assert LOUDLY in server.log()
    assert made.status_of(token) == 401
    assert made.create().status_code == 201


def command_points(made: OnFaultyDisk, *arguments: str) -> int:
    """Return how many points a command has that works."""
    made.disk.work()
    done = made.server.run(*arguments)
    assert done.returncode == 0, done.stderr
    return made.disk.passed


def crash_command(made: OnFaultyDisk, point: int, *arguments: str) -> None:
    """Run a command that crashes at *point*, beside no server."""
    made.disk.kill_at(point, ENDS[point % len(ENDS)], seed=point)
    made.server.run(*arguments)
    made.disk.work()


ROTATE = ("keys", "rotate", "root")


def crash_rotations(made: OnFaultyDisk, choose: Callable[[int], list[int]]) -> int:
    token = made.create().json()["access_token"]
    made.server.stop()
    points = choose(command_points(made, *ROTATE))
    for point in points:
        crash_command(made, point, *ROTATE)
        made.server.restart()
        assert made.status_of(token) == 200
        assert made.create().status_code == 201
        made.server.stop()
    assert made.server.run(*ROTATE).returncode == 0
    made.server.restart()
    assert made.status_of(token) == 200
    assert LOUDLY not in made.server.log()
    return len(points)


def crash_backups(made: OnFaultyDisk, choose: Callable[[int], list[int]], folder: Path) -> tuple[int, int]:
    """Return how many backups were crashed, and how many of them left a file that `restore` took."""
    token = made.create().json()["access_token"]
    made.server.stop()
    taken = 0
    inside = made.server.data_dir / "backup"  # below the faulty disk
    points = choose(command_points(made, "backup", str(inside)))
    inside.unlink()
    for point in points:
        crash_command(made, point, "backup", str(inside))
        copy = folder / f"data-{point}"
        shutil.copytree(made.server.data_dir, copy)
        inside.unlink(missing_ok=True)
        inside.with_name("backup-journal").unlink(missing_ok=True)
        restored = made.server.run(
            "restore",
            str(copy / "backup"),
            "--yes",
            "--data-dir",
            str(copy),
            "--database",
            f"sqlite:///{copy}/sessiond.db",
        )
        if restored.returncode == 0:
            taken += 1
            with contextlib.closing(sqlite3.connect(copy / "sessiond.db")) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
        assert "Traceback" not in restored.stderr
        shutil.rmtree(copy)
    made.server.restart()
    assert made.status_of(token) == 200
    return len(points), taken


def one_of(points: int) -> list[int]:
    return [1 + points // 2]


def each_of(points: int) -> list[int]:
    return list(range(1, points + 1))


def test_a_rotation_of_keys_that_crashes_ends_no_session_and_can_be_repeated(made: OnFaultyDisk) -> None:
    assert crash_rotations(made, one_of)


def test_a_backup_that_crashes_is_whole_or_refused(made: OnFaultyDisk, tmp_path: Path) -> None:
    assert crash_backups(made, one_of, tmp_path)[0]


@pytest.mark.soak
def test_a_rotation_that_crashes_at_every_write_ends_no_session(
    made: OnFaultyDisk, record_property: Callable[[str, object], None]
) -> None:
    record_property("crashes", crash_rotations(made, each_of))


@pytest.mark.soak
def test_a_backup_that_crashes_at_every_write_is_whole_or_refused(
    made: OnFaultyDisk, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    crashes, taken = crash_backups(made, each_of, tmp_path)
    record_property("crashes", crashes)
    record_property("backups that were whole", taken)
