"""Starts: what is refused, each in one clear sentence, and what is found to be behind its witness."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from sessiond.config.secrets import encode_key
from tests.server_process import MASTER_TOKEN, SERVER_KEY, ServerProcess, free_port, sessiond_command
from tests.system.waiting import WITHIN_SECONDS, eventually
from tests.system.writers import bearer

pytestmark = pytest.mark.slow

ANOTHER_KEY = encode_key(bytes(range(32)))
LOUDLY = "every session has been ended"


def opened_session(server: ServerProcess) -> str:
    """Open a session, and return its access token."""
    answer = httpx.post(f"{server.url}/v1/sessions", headers=server.authorization, json={"subject": "alice"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["access_token"])


def status_of(server: ServerProcess, token: str) -> int:
    return httpx.get(f"{server.url}/v1/session", headers=bearer(token)).status_code


# -- refused ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a server that was in use and was stopped; to be copied."""
    with ServerProcess.started(tmp_path_factory.mktemp("stopped")) as server:
        opened_session(server)
        server.stop()
        return server.data_dir


@pytest.fixture
def data_dir(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "data"))


def assert_refused_in_one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.startswith("sessiond: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    for secret in (SERVER_KEY, MASTER_TOKEN):
        assert secret not in done.stderr


def start(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a server that is to be refused; one that is not fails the test after a while."""
    return subprocess.run(
        [*sessiond_command(), "serve", "--port", "0", "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"} | environment,
        timeout=WITHIN_SECONDS,
        check=False,
    )


def make_newer(data_dir: Path) -> None:
    with contextlib.closing(sqlite3.connect(data_dir / "sessiond.db")) as database:
        database.execute("PRAGMA user_version = 999")


def damage(data_dir: Path) -> None:
    path = data_dir / "sessiond.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)


def lose_database(data_dir: Path) -> None:
    (data_dir / "sessiond.db").unlink()


def empty_database(data_dir: Path) -> None:
    (data_dir / "sessiond.db").write_bytes(b"")


def put_something_else(data_dir: Path) -> None:
    (data_dir / "sessiond.db").unlink()
    with contextlib.closing(sqlite3.connect(data_dir / "sessiond.db")) as database:
        database.execute("CREATE TABLE theirs (x)")


def show_key_to_others(data_dir: Path) -> None:
    (data_dir / "secrets" / "key").chmod(0o644)


def show_secrets_to_others(data_dir: Path) -> None:
    (data_dir / "secrets").chmod(0o755)


def show_data_to_others(data_dir: Path) -> None:
    data_dir.chmod(0o755)


def lose_key(data_dir: Path) -> None:
    (data_dir / "secrets" / "key").unlink()


def exchange_key(data_dir: Path) -> None:
    (data_dir / "secrets" / "key").write_text(ANOTHER_KEY + "\n")


def garble_key(data_dir: Path) -> None:
    (data_dir / "secrets" / "key").write_text("not a key\n")


def garble_witness(data_dir: Path) -> None:
    (data_dir / "secrets" / "witness").write_text("not a witness\n")


class Refused(NamedTuple):
    spoil: Callable[[Path], None]
    words: tuple[str, ...]


REFUSED = [
    Refused(make_newer, ("newer sessiond", "upgrade")),
    Refused(damage, ("damaged", "restore")),
    Refused(lose_database, ("is empty", "restore its database")),
    Refused(empty_database, ("is empty", "restore its database")),
    Refused(put_something_else, ("not a database of sessiond",)),
    Refused(show_key_to_others, ("secrets/key", "chmod 600")),
    Refused(show_secrets_to_others, ("secrets", "chmod 700")),
    Refused(show_data_to_others, ("data", "chmod 700")),
    Refused(lose_key, ("SESSIOND_KEY",)),
    Refused(exchange_key, ("does not open the key ring",)),
    Refused(garble_key, ("secrets/key", "32 random bytes")),
    Refused(garble_witness, ("witness", "sessiond recover")),
]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.spoil.__name__)
def test_a_start_that_is_not_safe_is_refused_and_changes_nothing(data_dir: Path, refused: Refused) -> None:
    refused.spoil(data_dir)
    files = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}

    assert_refused_in_one_sentence(start(data_dir), *refused.words)

    assert [path.name for path, content in files.items() if content and path.read_bytes() != content] == []


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SESSIOND_SERVER_KEY": "short"}, ("SESSIOND_SERVER_KEY", "32")),
        ({"SESSIOND_MASTER_TOKEN": "a" * 40}, ("SESSIOND_MASTER_TOKEN",)),
        ({"SESSIOND_MASTER_TOKEN": "another-master-token-0123456789abcdef"}, ("master-token rotate",)),
        ({"SESSIOND_KEY": ANOTHER_KEY}, ("does not open the key ring",)),
        ({"SESSIOND_NOTHING": "1"}, ("SESSIOND_NOTHING",)),
        ({"SESSIOND_DATABASE": "mysql://host/db"}, ("no known engine", "sqlite://")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_that_is_not_safe_is_refused(
    data_dir: Path, environment: dict[str, str], words: tuple[str, ...]
) -> None:
    assert_refused_in_one_sentence(start(data_dir, **environment), *words)


def test_a_second_server_on_one_database_is_refused_and_the_first_serves_on(server: ServerProcess) -> None:
    token = opened_session(server)

    done = server.run("serve", "--port", str(free_port()))

    assert_refused_in_one_sentence(done, "another server is already running")
    assert status_of(server, token) == status_of(server, opened_session(server)) == 200


def test_a_port_in_use_is_refused_and_nothing_is_made(server: ServerProcess, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"

    done = server.run("serve", "--port", str(server.port), "--data-dir", str(elsewhere))

    assert_refused_in_one_sentence(done, f"Port {server.port}")
    assert not elsewhere.exists()


# -- behind -----------------------------------------------------------------------------------------------------


class Restored(NamedTuple):
    """A server whose database was restored from a copy, with tokens from before and after the copy was made."""

    server: ServerProcess
    revoked_since: str
    kept: str
    younger: str


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Restored]:
    with ServerProcess.started(tmp_path) as server:
        revoked_since, kept = opened_session(server), opened_session(server)
        server.stop()
        database = server.data_dir / "sessiond.db"
        copy = shutil.copy2(database, tmp_path / "copy.db")
        server.restart()
        ended = httpx.delete(f"{server.url}/v1/session", headers=bearer(revoked_since))
        assert ended.status_code == 204
        younger = opened_session(server)
        server.stop()
        shutil.copy2(copy, database)
        yield Restored(server, revoked_since, kept, younger)


def test_a_restored_copy_revives_no_session_and_says_so(restored: Restored) -> None:
    server = restored.server
    before = server.log()

    server.restart()

    assert LOUDLY not in before
    assert server.log().count(LOUDLY) == 2, "once in the log, once for people"
    assert {status_of(server, token) for token in restored[1:]} == {401}
    fresh = opened_session(server)
    assert status_of(server, fresh) == 200
    server.stop()
    server.restart()
    assert server.log().count(LOUDLY) == 2
    assert status_of(server, fresh) == 200
    assert {status_of(server, token) for token in restored[1:]} == {401}


def newest_event_witnessed(server: ServerProcess) -> int:
    witness = json.loads((server.data_dir / "secrets" / "witness").read_bytes())
    return int(witness["newest_event"])


def test_a_restored_copy_is_noticed_after_a_crash_too(restored: Restored) -> None:
    """The witness is not written at the end of a server only."""
    server = restored.server
    server.restart()
    database, copy = server.data_dir / "sessiond.db", server.data_dir.with_name("copy.db")
    seen = newest_event_witnessed(server)
    token = opened_session(server)
    eventually(lambda: newest_event_witnessed(server) > seen)
    server.kill()
    for name in ("sessiond.db-wal", "sessiond.db-shm"):
        (server.data_dir / name).unlink()
    shutil.copy2(copy, database)

    server.restart()

    assert server.log().count(LOUDLY) == 4
    assert status_of(server, token) == 401


def test_recovery_by_hand_ends_every_session_of_a_stopped_server(fresh_server: ServerProcess) -> None:
    server = fresh_server
    token = opened_session(server)
    server.stop()

    done = server.run("recover", "--yes")

    assert done.returncode == 0, done.stderr
    server.restart()
    assert status_of(server, token) == 401
    assert status_of(server, opened_session(server)) == 200
    assert LOUDLY not in server.log()
