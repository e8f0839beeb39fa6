"""Measures: what is counted on the way of requests, as plain numbers that can be read at any time.

Counting is an addition or two; what it costs to show the numbers is paid by who asks for them.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

BOUNDS_NS = (
    100_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    5_000_000_000,
)
"""The durations up to which are told apart, from 0.1 ms to 5 s."""


class Durations:
    """How long things took: *counts* has how many took at most each bound and longer than the one before it.

    The last of *counts* are those that took longer than the last bound.
    """

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.total_ns = 0

    def add(self, took_ns: int) -> None:
        """Count one that took so many nanoseconds."""
        self.counts[bisect_left(BOUNDS_NS, took_ns)] += 1
        self.total_ns += took_ns

    def copy(self) -> Durations:
        """Return what was counted until now, which no more is added to."""
        copied = Durations()
        copied.counts, copied.total_ns = list(self.counts), self.total_ns
        return copied


class BatchMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """Batches of operations: how many operations were accepted, how many wait for a batch, how long batches took."""

    operations: int
    waiting: int
    durations: Durations


class StoreMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has counted since it was opened: its writes, its reads where they go in batches, and its memory.

    *sessions_known* is how many sessions memory may answer for, None where nothing is kept.
    """

    writes: BatchMeasures | None = None
    reads: BatchMeasures | None = None
    sessions_known: int | None = None
