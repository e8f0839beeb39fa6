"""Request ids: ours, or an incoming one that is short and safe to log."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator

_SAFE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{7,39}")
_TOKEN_LIKE = re.compile(rb"sd[a-z][0-9]_")
_LOW = tuple(f"{low:03x}" for low in range(4096))


class RequestIds:
    """Mints ids in the form of a UUID (version 8, RFC 9562): random for this process, then a counter.

    *mint* returns a new one. They tell requests apart and are no secrets, so that a counter does, and costs a tenth of
    a random one.
    """

    def __init__(self, entropy: bytes | None = None) -> None:
        digits = (entropy or os.urandom(10)).hex()
        self._head = f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-"
        self.mint: Callable[[], str] = self._count().__next__

    def _count(self) -> Iterator[str]:
        for high in itertools.count():
            head = f"{self._head}{high:09x}"
            for low in _LOW:
                yield head + low

    def accept(self, incoming: bytes) -> str:
        """Return *incoming* if it is 8 to 40 safe characters and nothing like a token, else a new id."""
        if not _SAFE.fullmatch(incoming) or _TOKEN_LIKE.match(incoming):
            return self.mint()
        return incoming.decode("ascii")
