"""What the machine gives: time that never goes back, randomness, a place to count, cores, and who goes first on one."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

from sessiond.domain.instants import Instant

STEP_MS = 5000
_UNSETTLED_MS = 3_600_000
_NS = 1_000_000
_NICER_BY = 10


class SystemClock:
    """The system's clock, monotone between readings.

    Where the wall clock was set back, time goes on from where it was, by the monotonic clock, so that no limit is
    lengthened; a small correction (up to five seconds) makes time stand still for that long. *stepped* gathers how
    far the wall clock jumped, in milliseconds, each time it was more than five seconds.
    """

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._last: Instant = wall() // _NS
        self._last_steady = steady() // _NS
        self._last_wall = self._last
        self.stepped: list[int] = []
        self._stepped_to: Instant = 0
        self._step_steady = -_UNSETTLED_MS + self._last_steady

    def now(self) -> Instant:
        """Return the present instant; never less than the one returned before."""
        present = self._wall() // _NS
        if present == self._last_wall:
            return self._last
        steady = self._steady() // _NS
        elapsed = steady - self._last_steady
        jumped, expected = present - self._last_wall - elapsed, self._last + elapsed
        self._last_wall, self._last_steady = present, steady
        if present < expected - STEP_MS:
            present = expected
        self._last = max(present, self._last)
        if not -STEP_MS <= jumped <= STEP_MS:
            self.stepped.append(jumped)
            self._stepped_to, self._step_steady = self._last, steady
        return self._last

    def stepped_since(self, instant: Instant) -> bool:
        """Tell whether a step of over five seconds lies between *instant* and now, and less than an hour ago.

        An instant that this clock stepped over was written by another node, and lies before the step, too. While time
        leads the wall clock every instant does: other nodes have not been led astray.
        """
        settled = self._last_steady - self._step_steady >= _UNSETTLED_MS
        return self.leads_wall or (not settled and instant < self._stepped_to)

    @property
    def leads_wall(self) -> bool:
        """Whether time, when it was last asked, was more than five seconds past the wall clock's."""
        return self._last - self._last_wall > STEP_MS

    def take_steps(self) -> list[int]:
        """Return the steps since this was last asked, the oldest first."""
        steps, self.stepped = self.stepped, []
        return steps


class SystemEntropy:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        """Return *count* bytes that nobody can guess."""
        return os.urandom(count)


class Counters:
    """Counts what is no event, in memory."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, what: str) -> None:
        """Count one *what*."""
        self.counts[what] += 1


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def step_back() -> None:
    """Let other threads go first on a core that this one wants, too; where threads have priorities: Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICER_BY)
