"""Refused attempts: counted in memory, and written down each minute."""

from __future__ import annotations

from collections import Counter

from sessiond.domain.ids import ProjectId
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.refused_attempts import Attempt, RefusedCounts
from sessiond.services.ports import Change, Clock, Store


class RefusedAttempts:
    """What one process has refused since it last told; a crash forgets at most a minute of it.

    *totals* counts all of it since the start.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts = RefusedCounts()
        self.totals: Counter[Attempt] = Counter()

    def note(self, attempt: Attempt, project: ProjectId, address: str) -> None:
        """Count one refused attempt."""
        self.totals[attempt] += 1
        self._counts.add(attempt, project, address)

    async def flush(self) -> None:
        """Write down what was counted, if anything; what the store does not take now is lost."""
        events = self._counts.events(self._clock.now())
        if events:
            await self._store.apply(Change(partition=CONTROL_PARTITION, expects={}, events=events))
