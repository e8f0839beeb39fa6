"""The access log: one JSON line per request, never a token, cheap.

Only values of ours are written (the template of a path, a status, a caller's label) and the client's address; nothing
else that a client sends: no path, query, header or body. Lines are gathered and written every tenth of a second.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import msgspec

from sessiond.http.logs import escaped, timestamp
from sessiond.http.request import Request

_FLUSH_SECONDS = 0.1
_FLUSH_LINES = 512
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FAILED = 500

Write = Callable[[bytes], None]


def write_to(descriptor: int) -> Write:
    """Return a function that writes whole lines to the file *descriptor*; a reader that went away loses them."""

    def write(lines: bytes) -> None:
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            return

    return write


class AccessLog:
    """Gathers one line per request and hands them to *write*; None writes nothing."""

    def __init__(self, write: Write | None) -> None:
        self._write = write
        self._lines: list[str] = []

    def record(self, request: Request, template: str, status: int, started_ns: int) -> None:
        """Add the line of a request that was answered with *status* now; *started_ns* is of `perf_counter_ns`."""
        if self._write is None:
            return
        duration = (time.perf_counter_ns() - started_ns) // 1000
        label = request.caller_label
        method = request.method if request.method in _METHODS else "OTHER"
        lines = self._lines
        if not lines:
            self._plan_flush()
        lines.append(
            f'{{"at":"{timestamp()}","level":"{"error" if status >= _FAILED else "info"}","event":"request",'
            f'"request_id":"{request.request_id}","method":"{method}","path":"{template}",'
            f'"status":{status},"duration_us":{duration},"client":{_quoted(request.client_address)},'
            f'"caller":{"null" if label is None else _quoted(label)}}}\n'
        )
        if len(lines) >= _FLUSH_LINES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._lines and self._write is not None:
            text = "".join(self._lines)
            self._lines.clear()
            self._write(text.encode())

    def _plan_flush(self) -> None:
        try:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        except RuntimeError:  # no loop runs: whoever calls flushes
            return


def _quoted(text: str) -> str:
    return msgspec.json.encode(text if text.isprintable() else escaped(text)).decode()
