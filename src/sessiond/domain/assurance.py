"""Assurance: how sure the application was of its subject, and when it last looked."""

from __future__ import annotations

from datetime import timedelta

from sessiond.domain.instants import Instant, later

CLOCKS_APART = timedelta(seconds=60)
"""How far ahead the clock of an application may be."""


def authentication_fault(at: Instant | None, now: Instant) -> str | None:
    """Return why a subject cannot have authenticated *at* this instant (None: what was said is no instant), or None."""
    if at is None:
        return "is no RFC 3339 date-time"
    if at < 0:
        return "lies before 1970"
    return "lies in the future" if at > later(now, CLOCKS_APART) else None
