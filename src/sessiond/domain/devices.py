"""Devices: what may identify one, how it is named, and how many an address may bring.

The identifier is no secret and is not kept: a device is a subject whose id is a keyed hash of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from sessiond.domain.errors import InvalidRequest, Throttled
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import Instant, millis

LONGEST_IDENTIFIER = 256
"""Bytes of UTF-8 that an identifier may have."""

LOWEST_ASSURANCE = "0"
"""The `acr` of a session that nothing but an identifier opened (OpenID Connect Core section 2)."""

COUNTED_FOR = timedelta(hours=1)
"""How long a new device counts towards its address's rate."""

SETTLING = timedelta(minutes=1)
"""How long a place that was taken for a session waits for it; only then may it be found empty."""

_PREFIX = "device_"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_identifier(value: object) -> str:
    """Return *value* if it can identify a device, or raise `InvalidRequest` (`invalid_identifier`)."""
    if not isinstance(value, str) or not value.strip():
        raise _refused("is required")
    if _CONTROL.search(value):
        raise _refused("must not contain control characters")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise _refused("must be valid Unicode") from None
    if size > LONGEST_IDENTIFIER:
        raise _refused(f"must have at most {LONGEST_IDENTIFIER} bytes")
    return value


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest("invalid_identifier", f"identifier {why}")


def device_subject(digest: bytes) -> SubjectId:
    """Return the subject id of the device whose identifier has this keyed hash."""
    return SubjectId(f"{_PREFIX}{digest.hex()}")


def may_be_device(subject: SubjectId) -> bool:
    """Tell whether the id could be that of a device."""
    return subject.startswith(_PREFIX)


def hint_of(identifier: str) -> str | None:
    """Return what is kept for the operator: the last 2 characters, never more than a quarter of the identifier."""
    shown = min(2, len(identifier) // 4)
    return identifier[len(identifier) - shown :] or None


def counting(members: Mapping[str, Instant], now: Instant) -> dict[str, Instant]:
    """Return the members that still count *now*."""
    return {name: until for name, until in members.items() if now < until}


def settled(until: Instant, *, ttl: timedelta, now: Instant) -> bool:
    """Tell whether the place of a session that ends at *until* has waited long enough for it."""
    return now >= until - millis(ttl) + millis(SETTLING)


def with_place(
    members: Mapping[str, Instant], name: str, *, until: Instant, most: int, now: Instant
) -> Mapping[str, Instant]:
    """Return *members* with a place for *name* until *until*; who has one keeps it as it is.

    Raises `Throttled` (`too_many_devices`) when *most* places are taken, until the first is free.
    """
    held = counting(members, now)
    if name in held:
        return held
    if len(held) >= most:
        wait = sorted(held.values())[len(held) - most] - now
        raise Throttled(
            "too_many_devices",
            "too many devices from this address, try again later",
            retry_after_seconds=max(1, -(-wait // 1000)),
        )
    return held | {name: until}
