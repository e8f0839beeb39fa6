"""Requests that are due at random moments, however long the answers take: `python -m bench.open_loop`, a process alone.

wrk asks again when it was answered, and so does its `delay`, in whole milliseconds: a server that stalls is asked less
("coordinated omission"). Here a request's time counts from the moment at which it was due, also while it waits for a
connection or for this process, so that a stall counts for everyone whom it kept waiting.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import random
import select
import socket
import statistics
import sys
import time
from collections.abc import Callable

import httptools
import msgspec

_SEED = 20_260_101


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The same *request*, a whole one, so often (*count*) within so many *seconds*, over keep-alive *connections*."""

    host: str
    port: int
    request: str
    count: int
    seconds: int
    connections: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """How requests were answered: so many a second (*rate*), and how long it took."""

    rate: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


def main() -> None:
    """Read a load from standard input, make it, and print how it was answered."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(drive(load)))


def moments(count: int, seconds: int) -> list[float]:
    """Return at how many seconds from the beginning each is due: independent of the others, the same in every run."""
    draw = random.Random(_SEED)  # noqa: S311  no secret
    return sorted(draw.uniform(0, seconds) for _ in range(count))


def drive(load: Load, *, clock: Callable[[], float] = time.perf_counter) -> Answered:
    """Send each request when it is due, by *clock* (in seconds), or as soon after that as a connection is free.

    Raises `RuntimeError` when the server closes a connection.
    """
    due = moments(load.count, load.seconds)
    with contextlib.closing(_Connections(load, clock)) as connections:
        began = clock()
        for each in due:
            connections.ask(began + each)
        connections.finish()
        took = clock() - began
    parts = statistics.quantiles(connections.took, n=100)
    return Answered(
        rate=load.count / took,
        p50_ms=parts[49] * 1e3,
        p99_ms=parts[98] * 1e3,
        requests=load.count,
        failed=connections.failed,
    )


class _Connections:
    """Keep-alive connections, each of which has one request under way or is free."""

    def __init__(self, load: Load, clock: Callable[[], float]) -> None:
        self.took: list[float] = []
        self.failed = 0
        self._request = load.request.encode()
        self._clock = clock
        self._all = [_Connection((load.host, load.port), self._answered) for _ in range(load.connections)]
        self._free = collections.deque(self._all)
        self._by_number = {each.socket.fileno(): each for each in self._all}
        self._ready = select.epoll()
        for number in self._by_number:
            self._ready.register(number, select.EPOLLIN)

    def ask(self, due: float) -> None:
        """Send a request at *due*, and read meanwhile what is answered."""
        while (early := due - self._clock()) > 0 or not self._free:
            self._read(early if self._free else None)
        self._free.popleft().ask(self._request, due)

    def finish(self) -> None:
        """Return when everything is answered."""
        while len(self._free) < len(self._all):
            self._read(None)

    def close(self) -> None:
        self._ready.close()
        for each in self._all:
            each.socket.close()

    def _read(self, seconds: float | None) -> None:
        # select waits to the microsecond, where epoll by itself rounds up to a millisecond.
        select.select([self._ready], [], [], seconds)
        for number, _ in self._ready.poll(0):
            self._by_number[number].read()

    def _answered(self, connection: _Connection, status: int) -> None:
        self.took.append(self._clock() - connection.due)
        self.failed += status >= 400  # as wrk counts
        self._free.append(connection)


class _Connection:
    """One of them; *due* is when its last request was."""

    def __init__(self, address: tuple[str, int], answered: Callable[[_Connection, int], None]) -> None:
        self.due = 0.0
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes, due: float) -> None:
        self.due = due
        self.socket.sendall(request)

    def read(self) -> None:
        received = self.socket.recv(65_536)
        if not received:
            raise RuntimeError("the server closed a connection")
        self._parser.feed_data(received)

    def on_message_complete(self) -> None:
        """Take note of a whole answer; the parser calls this."""
        self._answered(self, self._parser.get_status_code())


if __name__ == "__main__":
    main()
