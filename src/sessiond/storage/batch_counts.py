"""What batchers of one kind count together; a batcher adds to it, and an engine shows it."""

from __future__ import annotations

import time
from collections.abc import Callable

from sessiond.services.measures import BatchMeasures, Durations


class BatchCounts:
    """Operations that were accepted, and how long each batch took until its outcomes were known.

    *waiting* tells of each batcher how many operations wait there, *now* the nanoseconds of a clock that only goes on.
    """

    def __init__(self, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self.now = now
        self.operations = 0
        self.durations = Durations()
        self.waiting: list[Callable[[], int]] = []

    def measures(self) -> BatchMeasures:
        """Return what was counted until now."""
        return BatchMeasures(
            operations=self.operations,
            waiting=sum(waiting() for waiting in self.waiting),
            durations=self.durations.copy(),
        )
