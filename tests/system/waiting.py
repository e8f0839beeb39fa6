"""Bounded waiting for what happens soon, and cannot say when."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_SECONDS = 120.0


def eventually(look: Callable[[], T], *, within_seconds: float = WITHIN_SECONDS) -> T:
    """Return what *look* returns as soon as that is true; fail when it does not become so in time."""
    deadline = time.monotonic() + within_seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"did not happen within {within_seconds} s; last seen: {seen!r}"
        time.sleep(0.02)
    return seen
