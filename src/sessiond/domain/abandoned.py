"""Anonymous subjects that nobody uses any more: since when, and whether they may go.

Nobody can come back as one but with a session or, for a device, with its identifier; then it is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sessiond.domain.endings import Ended
from sessiond.domain.instants import Instant, later
from sessiond.domain.subjects import Subject


def may_be_abandoned(subject: Subject) -> bool:
    """Tell whether it may ever go by itself: not who is known to somebody, nor who is kept from coming back."""
    return subject.anonymous and subject.disabled_at is None


def abandoned_since(subject: Subject, ends: Sequence[Ended | None], now: Instant) -> Instant | None:
    """Return since when none of its sessions lives; None while one does.

    *ends* is how each that is still stored ended, None for one that lives. What is not known any more counts as now,
    or as when it was written down first.
    """
    if any(ended is None for ended in ends):
        return None
    known = [ended.at for ended in ends if ended is not None and ended.at is not None]
    if known and len(known) == len(ends):
        return max(known)
    return now if subject.abandoned_at is None else subject.abandoned_at


def is_stale(since: Instant, *, kept_for: timedelta, now: Instant) -> bool:
    """Tell whether a subject that nobody has used *since* then may go."""
    return now >= later(since, kept_for)
