"""Backups, taken beside a server that serves and put back while none does."""

from __future__ import annotations

import json
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.waiting import eventually

pytestmark = pytest.mark.slow

SEALED = [pytest.param((), id="plain"), pytest.param(("--sealed",), id="sealed")]


@pytest.fixture
def server(fresh_server: ServerProcess) -> ServerProcess:
    return fresh_server


def sign_in(server: ServerProcess, subject: str) -> str:
    answer = httpx.post(f"{server.url}/v1/sessions", json={"subject": subject}, headers=server.authorization)
    token: str = answer.json()["access_token"]
    return token


def status_of(server: ServerProcess, token: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.url}/v1/session", headers=bearer).status_code


def knows(server: ServerProcess, subject: str) -> bool:
    return httpx.get(f"{server.url}/v1/subjects/{subject}", headers=server.authorization).status_code == 200


def done(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def back_up(server: ServerProcess, target: Path, *options: str) -> dict[str, Any]:
    return done(server.run("backup", str(target), *options, "--json"))


def put_back(server: ServerProcess, source: Path) -> subprocess.CompletedProcess[str]:
    return server.run("restore", str(source), "--yes", "--json")


@pytest.mark.parametrize("options", SEALED)
def test_a_backup_brings_everything_back_but_sessions(
    server: ServerProcess, tmp_path: Path, options: tuple[str, ...]
) -> None:
    before = sign_in(server, "before")
    taken = back_up(server, tmp_path / "copy", *options)
    sign_in(server, "after")
    server.stop()

    restored = done(put_back(server, tmp_path / "copy"))
    server.restart()

    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert taken["sealed"] is bool(options)
    assert (knows(server, "before"), knows(server, "after")) == (True, False)
    assert status_of(server, before) == 401
    assert "every session has been ended" in server.log()
    assert (Path(restored["kept"]) / "sessiond.db").exists()
    assert status_of(server, sign_in(server, "before")) == 200


def test_a_backup_is_of_one_instant_while_others_write(server: ServerProcess, tmp_path: Path) -> None:
    stop = threading.Event()
    made: list[str] = []

    def write() -> None:
        while not stop.is_set():
            made.append(sign_in(server, f"subject-{len(made)}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: made)
        for number in range(3):
            back_up(server, tmp_path / f"copy-{number}", "--sealed")
    finally:
        stop.set()
        writer.join()
    server.stop()

    done(put_back(server, tmp_path / "copy-2"))
    server.restart()

    count = next(number for number in range(len(made) + 1) if not knows(server, f"subject-{number}"))
    assert 0 < count <= len(made)
    assert not any(knows(server, f"subject-{number}") for number in range(count, len(made)))


def test_a_sealed_backup_shows_nothing_of_what_is_in_it(server: ServerProcess, tmp_path: Path) -> None:
    sign_in(server, "somebody-with-a-name")

    back_up(server, tmp_path / "plain")
    back_up(server, tmp_path / "sealed", "--sealed")

    assert b"somebody-with-a-name" in (tmp_path / "plain").read_bytes()
    assert b"somebody-with-a-name" not in (tmp_path / "sealed").read_bytes()
    assert not list(server.data_dir.glob(".backup*"))


def test_a_backup_replaces_no_file(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")

    result = server.run("backup", str(tmp_path / "precious"))

    assert result.returncode == 2
    assert "exists" in result.stderr
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_restore_beside_a_running_server_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    token = sign_in(server, "alice")
    back_up(server, tmp_path / "copy")

    result = put_back(server, tmp_path / "copy")

    assert result.returncode == 2
    assert "another server is already running" in result.stderr
    assert status_of(server, token) == 200


@pytest.mark.parametrize("damage", ["changed", "cut", "foreign", "another key"])
def test_a_backup_that_is_not_sound_changes_nothing(
    server: ServerProcess, tmp_path: Path, damage: str
) -> None:
    token = sign_in(server, "alice")
    back_up(server, tmp_path / "copy", "--sealed")
    server.stop()
    content = (tmp_path / "copy").read_bytes()
    if damage == "changed":
        content = content[:500] + bytes([content[500] ^ 1]) + content[501:]
    elif damage == "cut":
        content = content[:-100]
    elif damage == "foreign":
        content = b"this is somebody's letter"
    else:
        content = content[:12] + b"0" * 12 + content[24:]
    (tmp_path / "damaged").write_bytes(content)

    result = put_back(server, tmp_path / "damaged")
    server.restart()

    assert result.returncode == 2
    assert result.stderr.strip()
    assert status_of(server, token) == 200
    assert not list(server.data_dir.glob(".*"))


def test_after_the_wrapping_key_moved_a_former_backup_opens_with_the_kept_key(
    server: ServerProcess, tmp_path: Path
) -> None:
    sign_in(server, "alice")
    back_up(server, tmp_path / "copy", "--sealed")
    assert server.run("keys", "rewrap").returncode == 0
    server.stop()

    assert put_back(server, tmp_path / "copy").returncode == 0
