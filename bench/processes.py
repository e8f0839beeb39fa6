"""Servers as processes of their own: pinned to a core, measured from `/proc`, ended by their own id."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER_CORE = "0"
LOAD_CORE = "1"
_START_SECONDS = 60
_MAPPING = re.compile("[0-9a-f]+-[0-9a-f]+ ")


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One server with its children, on the server's core."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self._log = (folder / "server.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._folder = folder

    def wait_for(self, url: str) -> None:
        """Return when *url* answers below 500. Raises `RuntimeError` with the end of the log when it never does."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5):  # noqa: S310  an address of our own
                    return
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    return
            except OSError:
                pass
            time.sleep(0.01)
        self.stop()
        log = (self._folder / "server.log").read_text(encoding="utf-8")
        raise RuntimeError(f"{url} did not come up:\n{log[-2000:]}")

    def cpu_seconds(self) -> float:
        """Return the processor time that the server and its children have taken."""
        return cpu_seconds(self._process.pid)

    def memory_bytes(self) -> int:
        """Return the resident memory of the server and its children, without the pages of its own files.

        A database that is mapped counts as resident as far as the page cache holds it, whoever read it.
        """
        return sum(_resident_bytes(pid, str(self._folder)) for pid in _tree(self._process.pid))

    def stop(self) -> None:
        """End the server and whatever it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its children have taken."""
    return sum(_cpu_seconds(each) for each in _tree(pid))


def _tree(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += map(int, _read(children).split())
    return found


def _cpu_seconds(pid: int) -> float:
    """Sum over the threads; `/proc/PID/task/TID/schedstat` counts nanoseconds, where `stat` counts ticks."""
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(text.split()[0]) for text in map(_read, files) if text) / 1e9


def _resident_bytes(pid: int, folder: str) -> int:
    total, counts = 0, True
    for line in _read(Path(f"/proc/{pid}/smaps")).splitlines():
        if line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024 if counts else 0
        elif _MAPPING.match(line):
            counts = folder not in line
    return total


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
