"""How old an answer from memory may be, where others write the database: the rule of `cache.max_staleness`.

A feed tells a node what others changed. From time to time the node writes a heartbeat through the store and waits until
the feed brings it back: then everything that was acknowledged before the heartbeat was sent has been told, too.
Instants here are readings of the node's own monotonic clock, in seconds; no other machine's clock takes part.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

STRICT = timedelta(0)
"""No age at all: every verify reads the database."""

SHORTEST = timedelta(milliseconds=100)
"""Below this, heartbeats would be most of what the feed carries, and a slow answer would silence it."""

LONGEST = timedelta(seconds=60)
"""For how long a revoked session may be accepted elsewhere, if an operator wants that at all."""


class Staleness(msgspec.Struct, frozen=True, kw_only=True):
    """How old what memory answers may be, and is: the age of the last heartbeat that came back, None while none has."""

    bound_seconds: float
    measured_seconds: float | None

    @property
    def heard(self) -> bool:
        """Tell whether the feed is heard, so that memory may answer; while it is not, every verify is strict."""
        return self.measured_seconds is not None and self.measured_seconds <= self.bound_seconds


def answers_until(*, read_at: float, heard_at: float, tells_all: bool, bound: float) -> float:
    """Return until when memory may answer with what was read at *read_at* and was not told to have changed.

    *heard_at* is when the last heartbeat was sent that came back. A feed that *tells_all*, in the order of commits,
    shows that nothing had changed by then; from one that may lose a word only the read itself is known. Either way
    memory is silent once the feed has been for *bound* seconds.
    """
    return (heard_at if tells_all else min(read_at, heard_at)) + bound
