"""Instants: whole milliseconds since the Unix epoch, in UTC. Durations are `timedelta`."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

Instant = int
"""Milliseconds since 1970-01-01T00:00:00Z."""

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):(\d\d)(?:\.(\d+))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_LAST = 253_402_300_800_000  # 10000-01-01T00:00:00Z: from here on RFC 3339 has no text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TWO_DIGITS = [f"{number:02}" for number in range(60)]
_MILLISECONDS = [f".{millisecond:03}Z" for millisecond in range(1000)]


@functools.lru_cache(maxsize=256)  # policies have few, and dividing takes three times as long
def millis(duration: timedelta) -> int:
    """Return *duration* in whole milliseconds."""
    return duration // _MILLISECOND


def later(instant: Instant, duration: timedelta) -> Instant:
    """Return the instant *duration* after *instant*."""
    return instant + millis(duration)


def unix_seconds(instant: Instant) -> int:
    """Return *instant* in whole Unix seconds, rounded up, so that a limit in seconds is never early."""
    return -(-instant // 1000)


def second_of(instant: Instant) -> Instant:
    """Return the whole second that *instant* lies in, as the `iat` of a JWT names it."""
    return instant - instant % 1000


@functools.lru_cache(maxsize=128)  # a new session shows the same instant three times
def rfc3339(instant: Instant) -> str:
    """Return *instant* as RFC 3339 text with milliseconds and `Z`."""
    return _to_the_second(instant // 1000) + _MILLISECONDS[instant % 1000]


@functools.lru_cache(maxsize=1024)  # most of what is shown happened, or will end, in the same few seconds
def _to_the_second(seconds: int) -> str:
    day, rest = divmod(seconds, 86_400)
    return f"{_date(day)}T{_TWO_DIGITS[rest // 3600]}:{_TWO_DIGITS[rest // 60 % 60]}:{_TWO_DIGITS[rest % 60]}"


@functools.lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()[:10]


def rfc3339_seconds(instant: Instant) -> str:
    """Return *instant* as RFC 3339 text in whole seconds and `Z`."""
    return _to_the_second(instant // 1000) + "Z"


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of *moment*, which must carry an offset; smaller parts than a millisecond are dropped."""
    return (moment - _EPOCH) // _MILLISECOND


def parse_rfc3339(text: str) -> Instant | None:
    """Return the instant that *text* (RFC 3339 section 5.6, so with an offset) names, or None for anything else.

    Smaller parts than a millisecond are dropped. A leap second is the instant after it (RFC 3339 appendix D).
    """
    match = _RFC3339.fullmatch(text.upper())
    if match is None:
        return None
    date, minute, second, fraction, offset = match.groups()
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(f"{date}T{minute}:{'59' if leap else second}{offset}")
    except ValueError:
        return None
    instant = from_datetime(moment) + (1000 if leap else int(f"{fraction or ''}000"[:3]))
    return instant if instant < _LAST else None
