"""Nothing secret at rest: after a run of every dialect no secret is in the database, its WAL or the log."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess
from tests.system.canary import Run, files_at_rest, found

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with ServerProcess.started(tmp_path_factory.mktemp("canary")) as server:
        run = Run(server)
        run.drive()
        yield run


def with_log(run: Run, places: dict[str, bytes]) -> dict[str, bytes]:
    return places | {"the log": run.server.log_path.read_bytes()}


def modes_below(folder: Path) -> dict[str, str]:
    """Return the mode of *folder* and of everything in it."""
    modes = {}
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # the witness is replaced while we look
            modes[str(path.relative_to(folder))] = stat.filemode(path.stat().st_mode)
    return modes


def test_the_run_brought_every_kind_of_token_to_light(run: Run) -> None:
    kinds = {token[:5] for token in run.tokens.values() if token.startswith("sd")}

    assert kinds == {"sda1_", "sdr1_", "sdb1_", "sds1_"}
    assert sum(token.startswith("eyJ") for token in run.tokens.values()) >= 9
    assert len(set(run.tokens.values())) == len(run.tokens) >= 20


def test_a_needle_would_be_found(run: Run) -> None:
    token = run.tokens["native refresh_token"]

    assert found(run, {"a trap": b"\0" + token.encode()})
    assert found(run, {"a trap": run.told["PIN"].encode().hex().encode()})


def test_no_secret_is_readable_beside_a_running_server(run: Run) -> None:
    places = with_log(run, files_at_rest(run.server.data_dir))

    assert {"sessiond.db", "sessiond.db-wal", "sessiond.db-shm"} <= set(places)
    assert b"usr_canary" in places["sessiond.db-wal"] + places["sessiond.db"]
    assert found(run, places) == []


def test_every_file_is_private(run: Run) -> None:
    modes = modes_below(run.server.data_dir)
    wanted = {name: "drwx------" if name in {".", "secrets"} else "-rw-------" for name in modes}

    assert {".", "secrets", "secrets/key", "sessiond.db", "sessiond.db-wal"} <= set(modes)
    assert modes == wanted


def test_no_secret_is_left_by_a_crash_or_a_stop(run: Run) -> None:
    server = run.server
    server.kill()
    after_kill = with_log(run, files_at_rest(server.data_dir))
    server.restart()
    server.stop()
    after_stop = with_log(run, files_at_rest(server.data_dir))
    server.restart()  # for whichever test comes next

    assert found(run, after_kill) == []
    assert found(run, after_stop) == []
