"""Durations as settings write them: a whole number and one unit, `30d`, `24h`, `10min`, `60s`, `250ms`."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SHAPE = re.compile(r"([0-9]{1,9})(ms|s|min|h|d)", re.ASCII)


def parse_duration(text: str) -> timedelta | None:
    """Return the duration that *text* writes, or None when it writes none."""
    found = _SHAPE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def duration_text(duration: timedelta) -> str:
    """Return *duration* with the largest unit that it is a whole number of; `0s` for none."""
    if not duration:
        return "0s"
    for name, unit in reversed(_UNITS.items()):
        if not duration % unit:
            return f"{duration // unit}{name}"
    raise ValueError(f"{duration!r} is no whole number of milliseconds")
