"""Rate limits: how often something may be asked for in a window of time, counted by all nodes together.

What a window has left is dealt out in shares: a node takes one in the store, and spends it in memory. A share that is
not spent is lost, so that nodes together may allow less than the limit, never more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import msgspec

from sessiond.domain.errors import Throttled
from sessiond.domain.ids import Partition, ProjectId
from sessiond.domain.instants import Instant, millis
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.rules import LimitRules

_SHARES = 4


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """At most *most* requests of one key in each *window*."""

    name: str
    most: int
    window: timedelta


class Quota(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a limit has left for a key, as far as one node knows, and in how many seconds it is whole again."""

    limit: RateLimit
    remaining: int
    reset_seconds: int


class RateLimited(Throttled):
    """The limit is used up until its window ends."""

    def __init__(self, quota: Quota) -> None:
        limit = quota.limit
        super().__init__(
            "too_many_requests",
            f"More than {limit.most} requests in {int(limit.window.total_seconds())} seconds "
            f"(limit {limit.name}); try again in {quota.reset_seconds} seconds.",
            retry_after_seconds=quota.reset_seconds,
            data={"limit": limit.name},
        )
        self.quota = quota


class Allotment(Record, frozen=True, kw_only=True, gc=False):
    """How much of a limit the nodes have taken for one key in the window that ends at *until*.

    *name* is a keyed hash of the limit and the key, so that no address is stored.
    """

    kind: ClassVar[Kind] = Kind.ALLOTMENT
    project: ProjectId
    partition: Partition
    name: bytes
    until: Instant
    taken: int

    @property
    def key(self) -> Key:
        return Key(Kind.ALLOTMENT, self.partition, self.project, self.name)

    @property
    def purge_at(self) -> Instant | None:
        return self.until


class Share(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one node may spend of *limit* until *until*; *left* is what the store had left after it was taken."""

    limit: RateLimit
    granted: int
    left: int
    until: Instant

    def quota(self, now: Instant) -> Quota:
        """Return what a client is told."""
        seconds = max(1, -(-(self.until - now) // 1000))
        return Quota(limit=self.limit, remaining=self.granted + self.left, reset_seconds=seconds)

    def spent(self) -> Share:
        """Return the share after one request."""
        return msgspec.structs.replace(self, granted=self.granted - 1)


def window_end(limit: RateLimit, name: bytes, now: Instant) -> Instant:
    """Return when the window ends that *now* lies in. Each name has windows of its own, so that not all end at once."""
    length = millis(limit.window)
    begun = (now - int.from_bytes(name[:8], "big")) // length * length + int.from_bytes(name[:8], "big")
    return begun + length


def take_share(held: Allotment, limit: RateLimit, now: Instant) -> tuple[Allotment, Share]:
    """Return the allotment after a share of what is left was taken from it, and the share; nothing left: 0 granted.

    A quarter of the rest each time, so that little is lost with a node that stops. A window that another node has
    opened is kept, though our clock may be behind it.
    """
    taken, until = held.taken, held.until
    if until <= now:
        taken, until = 0, window_end(limit, held.name, now)
    left = max(0, limit.most - taken)
    granted = min(left, max(1, left // _SHARES))
    after = msgspec.structs.replace(held, taken=taken + granted, until=until, version=held.version + 1)
    return after, Share(limit=limit, granted=granted, left=left - granted, until=until)


def limits_of(rules: LimitRules) -> dict[str, RateLimit]:
    """Return the limits that *rules* set, by name."""
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    declared = {
        "address": (rules.by_address, minute),
        "session": (rules.by_session, minute),
        "server_key": (rules.by_server_key, minute),
        "sign_up": (rules.sign_ups_by_address, hour),
    }
    return {
        name: RateLimit(name=name, most=most, window=window)
        for name, (most, window) in declared.items()
        if most is not None
    }
