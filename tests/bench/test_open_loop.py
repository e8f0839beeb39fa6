"""Load that does not wait for answers: what counts as a request's time, and what as a failure."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from bench.open_loop import Answered, Load, drive, moments

ROOT = Path(__file__).parents[2]
REQUEST = "GET /v1/session HTTP/1.1\r\nHost: localhost\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
PATIENCE_SECONDS = 120


@contextlib.contextmanager
def server(answer: Callable[[int], Sequence[bytes]]) -> Iterator[int]:
    """Serve on the port that is given: a connection's first request is number 0. No pieces: the connection ends."""

    def serve(connection: socket.socket) -> None:
        with connection:
            for number in itertools.count():
                pieces = answer(number) if connection.recv(65_536) else ()
                if not pieces:
                    return
                for piece in pieces:
                    connection.sendall(piece)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def load(port: int, *, count: int = 100, connections: int = 1) -> Load:
    """Return a load whose requests are all due at once."""
    return Load(host="127.0.0.1", port=port, request=REQUEST, count=count, seconds=0, connections=connections)


def test_the_time_in_which_a_request_waits_for_a_connection_counts() -> None:
    ticks = itertools.count()

    with server(lambda _: [FINE]) as port:
        answered = drive(load(port), clock=lambda: float(next(ticks)))

    # All were due together and answered one after the other. From its sending each took as long as any.
    assert answered.p99_ms > 1.5 * answered.p50_ms


def test_each_request_is_answered_once_though_answers_come_in_pieces() -> None:
    with server(lambda _: [FINE[:7], FINE[7:-3], FINE[-3:]]) as port:
        answered = drive(load(port, connections=8))

    assert (answered.requests, answered.failed) == (100, 0)


def test_what_is_refused_has_failed() -> None:
    with server(lambda number: [REFUSED if number % 4 == 3 else FINE]) as port:
        answered = drive(load(port))

    assert (answered.requests, answered.failed) == (100, 25)


def test_a_connection_that_the_server_closes_is_an_error_and_no_answer() -> None:
    with (
        server(lambda number: [FINE] if number < 5 else []) as port,
        pytest.raises(RuntimeError, match="closed a connection"),
    ):
        drive(load(port))


def test_requests_are_due_at_the_same_moments_in_every_run_and_not_one_like_the_other() -> None:
    due = moments(1000, 5)

    assert due == moments(1000, 5) == sorted(due)
    assert 0 <= due[0] < due[-1] <= 5
    gaps = [after - before for before, after in itertools.pairwise(due)]
    assert max(gaps) > 3 * sum(gaps) / len(gaps)


def test_a_process_of_its_own_says_how_it_was_answered() -> None:
    with server(lambda _: [FINE]) as port:
        told = subprocess.run(
            [sys.executable, "-m", "bench.open_loop"],
            input=msgspec.json.encode(load(port, connections=4)),
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
            timeout=PATIENCE_SECONDS,
        ).stdout

    answered = msgspec.json.decode(told, type=Answered)
    assert (answered.requests, answered.failed) == (100, 0)
    assert 0 < answered.p50_ms <= answered.p99_ms
