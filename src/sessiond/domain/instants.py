"""Instants: whole milliseconds since the Unix epoch, in UTC. Durations are `timedelta`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

Instant = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def millis(duration: timedelta) -> int:
    """Return *duration* in whole milliseconds."""
    return duration // _MILLISECOND


def later(instant: Instant, duration: timedelta) -> Instant:
    """Return the instant *duration* after *instant*."""
    return instant + duration // _MILLISECOND


def unix_seconds(instant: Instant) -> int:
    """Return *instant* in whole Unix seconds, rounded up, so that a limit in seconds is never early."""
    return -(-instant // 1000)


def rfc3339(instant: Instant) -> str:
    """Return *instant* as RFC 3339 text with milliseconds and `Z`."""
    text = (_EPOCH + timedelta(milliseconds=instant)).isoformat(timespec="milliseconds")
    return text[:-6] + "Z"


def rfc3339_seconds(instant: Instant) -> str:
    """Return *instant* as RFC 3339 text in whole seconds and `Z`."""
    return (_EPOCH + timedelta(milliseconds=instant)).isoformat(timespec="seconds")[:-6] + "Z"


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of *moment*, which must carry an offset; smaller parts than a millisecond are dropped."""
    return (moment - _EPOCH) // _MILLISECOND
