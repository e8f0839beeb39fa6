"""A real `sessiond serve` process on a free loopback port, ended by its own id."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import httpx

from tests.servers.patience import shares_a_server

SERVER_KEY = "test-server-key-0123456789abcdefghijklmnop"
MASTER_TOKEN = "test-master-token-0123456789abcdefghijkl"
WITHIN_SECONDS = 120
"""How long starts, stops and commands may take: a bound against hanging, far beyond what a busy machine needs."""

_PORTS = range(20_000, 30_000)
_PORT_LOCKS = Path(tempfile.gettempdir()) / f"sessiond-test-ports-{os.getuid()}"
_PATIENT = Path(__file__).parent / "servers" / "patient_sessiond.py"
_held: list[BinaryIO] = []

databases: list[Callable[[], str]] = []
"""Where `--engine` names another engine than SQLite: what returns the URL of a database of its own for each server."""


def free_port() -> int:
    """Return a port of loopback that stays free for this process of tests until something is started on it.

    The kernel's own choice (port 0) lies among the ports that it gives to outgoing connections, of which one may take
    it before the server does. These lie below, and a lock keeps other processes of tests from the same one.
    """
    _PORT_LOCKS.mkdir(exist_ok=True)
    for port in random.sample(_PORTS, len(_PORTS)):
        lock = (_PORT_LOCKS / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            _held.append(lock)  # until this process ends
            return port
    raise AssertionError("no port is free")


class ServerProcess:
    """A running server; `url`, `server_key` and `master_token` are all that a client needs."""

    def __init__(
        self,
        data_dir: Path,
        port: int,
        arguments: tuple[str, ...],
        settings: Mapping[str, str],
        *,
        patient: bool,
    ) -> None:
        self.data_dir = data_dir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.server_key = SERVER_KEY
        self.master_token = MASTER_TOKEN
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self._arguments = arguments
        self._settings = settings
        busy = patient and shares_a_server(settings.get("SESSIOND_DATABASE", ""))
        self._command = [sys.executable, "-P", str(_PATIENT)] if busy else sessiond_command()
        self.process = self._spawn()

    @classmethod
    @contextlib.contextmanager
    def started(
        cls,
        folder: Path,
        *arguments: str,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        patient: bool = True,
    ) -> Iterator[ServerProcess]:
        """Start a server with its data below *folder*, wait until it is ready, and stop it in the end.

        A *patient* one waits for a database's server that is busy, and also for one that hangs.
        """
        database = {"SESSIOND_DATABASE": databases[-1]()} if databases else {}
        chosen = database | dict(settings or {})
        server = cls(folder / "data", port or free_port(), arguments, chosen, patient=patient)
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.stop()

    @property
    def command_environment(self) -> dict[str, str]:
        """The environment for the command line beside this server."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SESSIOND_")}
        return kept | {"SESSIOND_DATA_DIR": str(self.data_dir)} | dict(self._settings)

    @property
    def authorization(self) -> dict[str, str]:
        """The header of a request with the server key."""
        return {"Authorization": f"Bearer {self.server_key}"}

    def _spawn(self) -> subprocess.Popen[bytes]:
        seeds = {"SESSIOND_SERVER_KEY": self.server_key, "SESSIOND_MASTER_TOKEN": self.master_token}
        environment = seeds | self.command_environment  # settings go before the seeds: empty ones plant none
        command = [
            *self._command,
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            *self._arguments,
        ]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def log(self) -> str:
        """Return everything that the server has printed and logged."""
        return self.log_path.read_text()

    def wait_until_ready(self) -> None:
        """Return once `/readyz` answers 200; fail with the log when the process ended or took too long."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server did not become ready:\n{self.log()}")

    def stop(self) -> int:
        """End the server as an operator does (SIGTERM) and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """End the server as a crash does (SIGKILL)."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start the server again on the same data and port, and wait until it is ready."""
        self.process = self._spawn()
        self.wait_until_ready()

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line beside the server, e.g. `run("users", "list", "--json")`."""
        return subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.command_environment,
            timeout=WITHIN_SECONDS,
            check=False,
        )


def sessiond_command() -> list[str]:
    """Return the command line of this checkout."""
    return [str(Path(sys.executable).with_name("sessiond"))]
