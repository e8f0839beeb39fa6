"""Several server processes on one port: a parent that serves nothing starts them, replaces what dies, and ends them.

The sockets are bound once and inherited, so that a connection waits for whichever worker is there. The first worker
starts alone: what a first start makes and says is made and said once. If the parent dies, its workers end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from sessiond.domain.errors import Misconfigured, Refusal

Work = Callable[[int, bool, Callable[[], None]], None]
"""Serves until SIGTERM. It is told its place among the workers, from 0, which it has from the one that it replaces, and
whether it is the first of all; and calls the function once it accepts connections."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_ENDING = (signal.SIGTERM, signal.SIGINT)
_READY = b"\0"
_LONGEST_REASON = 4096
_TRIED_AGAIN_SECONDS = 1.0

_logger = logging.getLogger("sessiond")


def supervise(count: int, work: Work) -> None:
    """Run *work* in *count* processes until SIGTERM or SIGINT, and return when the last has ended.

    Raises `Misconfigured` with what the first worker says when it cannot start; then none is left.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    workers = _Workers(work, count, former)
    try:
        workers.start(first=True)
        for _ in range(count - 1):
            workers.start()
        workers.watch()
    finally:
        workers.end()
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class _Workers:
    """The processes that are there."""

    def __init__(self, work: Work, count: int, mask: set[signal.Signals | int]) -> None:
        self._work = work
        self._count = count
        self._mask = mask
        self._pids: dict[int, int] = {}
        """The place of each process."""
        self._life = os.pipe()  # nobody writes to it: its end tells the workers that the parent has died

    def start(self, *, first: bool = False) -> None:
        """Start one and return when it serves. Raises `Misconfigured` when it ended before."""
        place = min(set(range(self._count)) - set(self._pids.values()))
        reading, writing = os.pipe()
        # What waits here would be written by both.
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._serve(place, first, writing)
        os.close(writing)
        with open(reading, "rb") as told:  # noqa: PTH123  a descriptor
            said = told.read(_LONGEST_REASON)
        if said != _READY:
            os.waitpid(pid, 0)
            raise Misconfigured(said.decode(errors="replace") or "a worker ended before it served")
        self._pids[pid] = place

    def watch(self) -> None:
        """Replace what dies and hand on what is signalled; return when all were told to end, and did.

        Where a replacement cannot start, because its database or key is out of reach, the others serve on and it is
        tried again each second. Raises `Misconfigured` when none is left.
        """
        ending = False
        while self._pids:
            told = signal.sigtimedwait(_SIGNALS, _TRIED_AGAIN_SECONDS)
            if told is not None and told.si_signo != signal.SIGCHLD:
                ending = ending or told.si_signo in _ENDING
                self._tell(told.si_signo)
                continue
            died = self._reap(expected=ending)
            # A replacement that failed is a child that ended, too: only time tries again.
            if not ending and (died or told is None):
                self._replace()

    def end(self) -> None:
        """End whatever is left, at once."""
        self._tell(signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        for descriptor in self._life:
            os.close(descriptor)

    def _reap(self, *, expected: bool) -> bool:
        """Let go of those that ended; tell whether there was one."""
        former = len(self._pids)
        for pid in list(self._pids):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone:
                continue
            del self._pids[pid]
            if not expected:
                code = os.waitstatus_to_exitcode(status)
                _logger.error("a worker died", extra={"pid": pid, "status": code})
        return len(self._pids) < former

    def _replace(self) -> None:
        while len(self._pids) < self._count:
            try:
                self.start()
            except Misconfigured as refusal:
                if not self._pids:
                    raise
                _logger.error("a worker could not be replaced", extra={"reason": str(refusal)})  # noqa: TRY400
                return

    def _tell(self, number: int) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _serve(self, place: int, first: bool, writing: int) -> None:  # noqa: FBT001  its only call names it
        """Be a worker; never returns."""
        status, said, parent = 1, b"", _Parent(writing)
        try:
            os.close(self._life[1])
            threading.Thread(target=_end_with, args=(self._life[0],), daemon=True).start()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            self._work(place, first, lambda: parent.hear(_READY))
            status = 0
        except (Misconfigured, Refusal) as refusal:
            said = str(refusal).encode()[:_LONGEST_REASON]
        except Exception:
            _logger.exception("a worker failed")
        finally:
            parent.hear(said)
            sys.stdout.flush()
            os._exit(status)


class _Parent:
    """Whom a worker tells once that it serves, or why it does not."""

    def __init__(self, writing: int) -> None:
        self._writing: int | None = writing

    def hear(self, text: bytes) -> None:
        """Tell *text*, unless something was told before."""
        writing, self._writing = self._writing, None
        if writing is not None:
            with contextlib.suppress(OSError):
                os.write(writing, text)
            os.close(writing)


def _end_with(life: int) -> None:
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)
