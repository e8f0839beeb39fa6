"""Allowances: how often something may be done, as a bucket that refills with time."""

from __future__ import annotations

import msgspec

from sessiond.domain.instants import Instant


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """What is left of an allowance: *tokens* as of *at*."""

    tokens: float
    at: Instant


def take(bucket: Bucket | None, *, now: Instant, burst: int, per_second: float) -> tuple[Bucket, int]:
    """Return the bucket after one attempt, and the milliseconds to wait: 0 when the attempt is allowed.

    A refused attempt takes nothing, so that who waits is served. A clock that went back refills nothing.
    """
    held = float(burst) if bucket is None else _refilled(bucket, now=now, burst=burst, per_second=per_second)
    at = now if bucket is None else max(now, bucket.at)
    if held >= 1:
        return Bucket(held - 1, at), 0
    return Bucket(held, at), max(1, round((1 - held) * 1000 / per_second))


def is_whole(bucket: Bucket, *, now: Instant, burst: int, per_second: float) -> bool:
    """Tell whether the bucket is as it was before any attempt, so that forgetting it changes nothing."""
    return _refilled(bucket, now=now, burst=burst, per_second=per_second) >= burst


def _refilled(bucket: Bucket, *, now: Instant, burst: int, per_second: float) -> float:
    return min(float(burst), bucket.tokens + max(0, now - bucket.at) * per_second / 1000)
