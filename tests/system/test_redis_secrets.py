"""Nothing secret reaches Redis: after a run of every dialect none is among the commands it got, or in its files."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import WITHIN_SECONDS, ServerProcess
from tests.servers.redis import RedisServer
from tests.system.canary import Run, found

pytestmark = pytest.mark.slow


class Monitor:
    """Hears every command that a server gets, as MONITOR tells them; SLOWLOG shows less of the same."""

    def __init__(self, server: RedisServer) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_SECONDS)
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._heard = bytearray()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def stop(self) -> bytes:
        """Return everything that was heard."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        return bytes(self._heard)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while heard := self._socket.recv(1 << 16):
                self._heard += heard


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, dict[str, bytes]]]:
    """A run of every dialect, and what Redis heard and wrote down of it."""
    with RedisServer.started() as redis:
        monitor = Monitor(redis)
        settings = {"SESSIOND_DATABASE": redis.url()}
        with ServerProcess.started(tmp_path_factory.mktemp("canary"), settings=settings) as server:
            run = Run(server)
            run.drive()
        heard = monitor.stop()
        files = {str(path): path.read_bytes() for path in Path(redis.folder).rglob("*") if path.is_file()}
        yield run, {"MONITOR": heard, "the log of sessiond": server.log_path.read_bytes()} | files


def test_what_redis_hears_is_heard(places: tuple[Run, dict[str, bytes]]) -> None:
    run, everything = places

    assert everything["MONITOR"].count(b'"EVALSHA"') > len(run.tokens)
    assert b"usr_canary" in everything["MONITOR"]
    assert any(b"usr_canary" in content for name, content in everything.items() if "aof" in name)


def test_no_secret_is_among_the_commands_or_in_a_file(places: tuple[Run, dict[str, bytes]]) -> None:
    run, everything = places

    assert found(run, everything) == []
