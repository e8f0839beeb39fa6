"""Throttling by name within one process: for what is cheap to try and has no guessable secret behind it."""

from __future__ import annotations

from sessiond.domain.allowances import Bucket, is_whole, take
from sessiond.domain.errors import Throttled
from sessiond.domain.instants import Instant
from sessiond.services.ports import Clock

_BOUND = 10_000
_OTHERS = "\0others"


class Allowance:
    """At most *burst* at once and *per_second* after, for each name; a bounded number of names is remembered.

    A name is forgotten once its allowance is whole again. While too many are not, all further names share one: nobody
    gets an allowance back by coming under many names.
    """

    def __init__(self, clock: Clock, *, burst: int, per_second: float) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[str, Bucket] = {}

    def allows(self, name: str) -> bool:
        """Count one attempt of *name* and tell whether it is allowed."""
        return not self._wait_ms(name, self._clock.now())

    def _wait_ms(self, name: str, now: Instant) -> int:
        if name not in self._buckets and not self._has_room(now):
            name = _OTHERS
        bucket, wait_ms = take(
            self._buckets.pop(name, None), now=now, burst=self._burst, per_second=self._per_second
        )
        self._buckets[name] = bucket
        return wait_ms

    def _has_room(self, now: Instant) -> bool:
        """Tell whether one more name can be remembered; the one that came longest ago makes room if it is whole."""
        if len(self._buckets) < _BOUND:
            return True
        oldest = next(iter(self._buckets))
        if not is_whole(self._buckets[oldest], now=now, burst=self._burst, per_second=self._per_second):
            return False
        del self._buckets[oldest]
        return True

    def take(self, name: str) -> None:
        """Count one attempt of *name*, or raise `Throttled` (`too_many_requests`; data: limit, remaining, reset)."""
        now = self._clock.now()
        wait_ms = self._wait_ms(name, now)
        if wait_ms:
            seconds = -(-wait_ms // 1000)
            raise Throttled(
                "too_many_requests",
                "Too many requests",
                retry_after_seconds=seconds,
                data={"limit": self._burst, "remaining": 0, "reset": (now + wait_ms) // 1000 + 1},
            )
