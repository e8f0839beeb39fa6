"""The access log: one JSON line per request, never a token, cheap.

Only values of ours are written (the template of a path, a status, a caller's label) and the client's address; nothing
else that a client sends: no path, query, header or body. What lines need is gathered, and they are written every tenth
of a second, all in one loop: that costs less than a line at the end of each request.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable, Sequence
from select import PIPE_BUF

import msgspec

from sessiond.http.logs import escaped, timestamp
from sessiond.http.operation_counts import METHODS, OTHER_METHOD, OperationCount
from sessiond.http.request import Request

_FLUSH_SECONDS = 0.1
_FLUSH_LINES = 512
_FAILED = 500

Write = Callable[[bytes], None]

_Gathered = tuple[int, int, str, str, str, str | None]
"""When a request was answered and begun (`perf_counter_ns`), its id, its operation's and client's parts, its caller."""


def write_to(descriptor: int) -> Write:
    """Return a function that writes whole lines to the file *descriptor*; a reader that went away loses them.

    They go in pieces of whole lines that a pipe takes at once (POSIX, `PIPE_BUF`): other workers write there, too.
    """

    def write(lines: bytes) -> None:
        begin = 0
        try:
            while begin < len(lines):
                end = len(lines)
                if end - begin > PIPE_BUF:
                    end = lines.rfind(b"\n", begin, begin + PIPE_BUF) + 1 or end
                begin += os.write(descriptor, lines[begin:end])
        except OSError:
            return

    return write


class AccessLog:
    """Counts every request, and hands *write* one line for each; None writes nothing.

    The parts of a line that repeat (the time to the millisecond, the operation, the client) are kept as text.
    """

    def __init__(self, write: Write | None) -> None:
        self._write = write
        self._gathered: list[_Gathered] = []
        self._operations: dict[tuple[str, str, int], OperationCount] = {}
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def record(self, request: Request, template: str, status: int, started_ns: int) -> None:
        """Count a request that was answered with *status* now, and gather what its line needs.

        *started_ns* is of `perf_counter_ns`.
        """
        now = time.perf_counter_ns()
        operation = self._operations.get((request.method, template, status)) or self._operation(
            request.method, template, status
        )
        operation.durations.add(now - started_ns)
        if self._write is None:
            return
        gathered = self._gathered
        if not gathered:
            self._plan_flush()
        client = request.connection.logged or _client(request)
        caller = None if request.caller is None else request.caller.label
        gathered.append((now, started_ns, request.request_id, operation.line, client, caller))
        if len(gathered) >= _FLUSH_LINES:
            self.flush()

    @property
    def operations(self) -> Sequence[OperationCount]:
        """What was answered so far, counted."""
        return list(self._operations.values())

    def _operation(self, method: str, template: str, status: int) -> OperationCount:
        shown = method if method in METHODS else OTHER_METHOD
        found = self._operations.get((shown, template, status))
        if found is None:
            level = "error" if status >= _FAILED else "info"
            line = (
                f'","level":"{level}","method":"{shown}","path":{_quoted(template)},"status":{status},'
                '"duration_us":'
            )
            found = self._operations[shown, template, status] = OperationCount(shown, template, status, line)
        return found

    def flush(self) -> None:
        """Write the lines of what was gathered."""
        if self._gathered and self._write is not None:
            lines = _lines(self._gathered, self._offset_ns)
            self._gathered.clear()
            self._offset_ns = time.time_ns() - time.perf_counter_ns()
            self._write(lines)

    def _plan_flush(self) -> None:
        try:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        except RuntimeError:  # no loop runs: whoever calls flushes
            return


def _lines(gathered: Sequence[_Gathered], offset_ns: int) -> bytes:
    """Return a line for each; *offset_ns* is what the wall clock is ahead of `perf_counter_ns`."""
    lines, last, begin = [], -1, ""
    for now, started, request_id, operation, client, caller in gathered:
        millis = (now + offset_ns) // 1_000_000
        if millis != last:
            last, begin = millis, f'{{"at":"{timestamp(millis)}","event":"request","request_id":"'
        shown = "null" if caller is None else _quoted(caller)
        lines.append(f"{begin}{request_id}{operation}{(now - started) // 1000}{client}{shown}}}\n")
    return "".join(lines).encode()


def _client(request: Request) -> str:
    """Return the client's part of a line; it is the connection's for good where no proxy stands before us."""
    text = f',"client":{_quoted(request.client_address)},"caller":'
    if not request.edge.trusted_proxies:
        request.connection.logged = text
    return text


@functools.lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return msgspec.json.encode(text if text.isprintable() else escaped(text)).decode()
