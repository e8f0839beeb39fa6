"""kill -9 while clients of every dialect write: whatever was acknowledged is there after the restart."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess
from tests.system.main_calls import add_pin_user
from tests.system.waiting import WITHIN_SECONDS
from tests.system.writers import (
    Acknowledged,
    DeviceWriter,
    NativeWriter,
    OperatorWriter,
    PinWriter,
    StackWriter,
    VaultWriter,
    Writer,
)

pytestmark = pytest.mark.slow

ROUNDS = 2  # so that the second finds what the first left; crash points one by one are in tests/storage and tests/disks
LEAST, MOST = 60, 150
"""How many acknowledged writes a round has before the kill, drawn anew for each."""

SETTINGS = {
    "SESSIOND_DEVICE_NEW_PER_HOUR": "100000",
    "SESSIOND_DEVICE_MAX_SESSIONS_PER_IP": "100000",
    "SESSIOND_PIN_ACCESS_TOKEN_LIFETIME": "1h",
    "SESSIOND_POLICY_GRACE": "300s",  # a refresh in doubt is repeated after a restart, however long that takes
}


@pytest.fixture
def crashing_server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess.started(tmp_path, settings=SETTINGS) as process:
        yield process


def write_until_killed(server: ServerProcess, writers: list[Writer], wanted: int) -> None:
    """Let every writer write at once, and kill the server when *wanted* writes, and one of each, are acknowledged."""
    start = threading.Barrier(len(writers) + 1)
    count = Acknowledged(wanted, of=len(writers))
    failures: list[BaseException] = []

    def run(writer: Writer) -> None:
        try:
            writer.write_until_gone(start, count)
        except BaseException as error:  # noqa: BLE001  whatever it is, the test must hear of it
            failures.append(error)
            count.enough.set()

    threads = [threading.Thread(target=run, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    start.wait(timeout=WITHIN_SECONDS)
    assert count.enough.wait(timeout=WITHIN_SECONDS), "the writers were not acknowledged in time"
    server.kill()
    for thread in threads:
        thread.join(timeout=WITHIN_SECONDS)
    assert not failures, failures


def test_what_was_acknowledged_before_a_kill_is_there_after_it(crashing_server: ServerProcess) -> None:
    server = crashing_server
    add_pin_user(server, "anna")
    kinds = (NativeWriter, NativeWriter, NativeWriter, VaultWriter, StackWriter, DeviceWriter, OperatorWriter)
    everyone: list[Writer] = []

    for _ in range(ROUNDS):
        writers: list[Writer] = [*(kind(server) for kind in kinds), PinWriter(server, "anna")]
        write_until_killed(server, writers, random.randint(LEAST, MOST))
        server.restart()
        with httpx.Client(base_url=server.url) as http:
            for writer in writers:
                writer.check(http)
        everyone += writers

    # Once more for all of them: no later crash took away what an earlier one had left.
    with httpx.Client(base_url=server.url) as http:
        for writer in everyone:
            writer.check(http)
    assert all(any(type(w) is kind and w.acknowledged for w in everyone) for kind in (*kinds, PinWriter))
    assert '"status":500' not in server.log()
