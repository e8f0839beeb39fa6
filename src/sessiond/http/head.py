"""The head of a request: its line and headers, without what tells one connection or moment from another.

Clients say the same again and again. `Heads` keeps those that were read by their bytes, so that the same bytes need not
be read, and judged, anew (`docs/decisions/0091-a-head-is-read-once.md`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sessiond.domain.errors import InvalidRequest, Refusal
from sessiond.http.edge import acceptable_host
from sessiond.http.refusals import BAD_HOST

if TYPE_CHECKING:
    from sessiond.http.router import Route

Headers = Sequence[tuple[bytes, bytes]]

_SINGLE = frozenset(
    {
        b"host",
        b"authorization",
        b"content-type",
        b"content-length",
        b"origin",
        b"sec-fetch-site",
        b"sessiond-project",
    }
)
MOST_HEADER_CHARS = 8 * 1024

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+) *")
_KEPT_HEADS = 4096
_MOST_KEPT_BYTES = 1024
_FRAMING = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})
"""Headers that change how the connection is read, or what becomes of it."""


class Head:
    """What a request says before its body.

    *path* is raw, as it was sent. *headers* are in order, their names in lower case; *values* has the last of each
    name, and *repeats* tells whether any stands more than once. *problem* is why the headers are refused, if they are.
    *instant* is what answers at once, if anything does.
    """

    __slots__ = (
        "_bearer",
        "headers",
        "http_version",
        "instant",
        "keep_alive",
        "method",
        "path",
        "problem",
        "query_string",
        "repeats",
        "values",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: bytes,
        headers: Headers,
        *,
        http_version: str = "1.1",
        keep_alive: bool = True,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.http_version = http_version
        self.keep_alive = keep_alive
        self.values = dict(headers)
        self.repeats = len(self.values) != len(headers)
        sound = not self.repeats and _sound_host(self.values.get(b"host", b""))
        self.problem = None if sound else _unsound(headers, self.values)
        self.instant: Route | None = None
        self._bearer: str | None = None

    @property
    def bearer(self) -> str | None:
        """The text after `Authorization: Bearer` (any case, RFC 9110 section 11.1); None without a sound one."""
        if self._bearer is None:
            match = _BEARER.fullmatch(self.values.get(b"authorization", b""))
            if match is not None and len(match[0]) < MOST_HEADER_CHARS:
                self._bearer = match[1].decode("ascii")
        return self._bearer


class Heads:
    """Heads by their bytes, as many as few clients need; only such as say nothing about the connection."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Head, int]] = {}

    def find(self, request: bytes) -> tuple[Head, bytes] | None:
        """Return the head and the body of what is one whole *request* with a head that is kept."""
        end = request.find(b"\r\n\r\n") + 4
        kept = self._kept.get(request[:end])
        if kept is None or kept[1] != len(request) - end:
            return None
        return kept[0], request[end:]

    def keep(self, head: Head, request: bytes) -> None:
        """Keep *head*, if it may be, which was read last of *request*, at whose first byte a request began.

        Where as many bytes follow the first empty line as the head says that its body has, *request* is that head and
        its body and nothing else.
        """
        last = request.find(b"\r\n\r\n")
        if not 0 < last < _MOST_KEPT_BYTES or not head.keep_alive or head.http_version != "1.1":
            return
        if head.problem is not None or head.repeats or not _FRAMING.isdisjoint(head.values):
            return
        end, length = last + 4, int(head.values.get(b"content-length", b"0"))
        if length == len(request) - end:
            if len(self._kept) >= _KEPT_HEADS:
                self._kept.clear()
            self._kept[request[:end]] = (head, length)


def _unsound(headers: Headers, values: Mapping[bytes, bytes]) -> Refusal | None:
    """Return what is wrong with *headers*, if anything.

    There must be exactly one sound `Host`, and no second one of each header that may stand once.
    """
    return _repetition(headers) if _sound_host(values.get(b"host", b"")) else BAD_HOST


def _repetition(headers: Headers) -> Refusal | None:
    names = [name for name, _ in headers if name in _SINGLE]
    repeated = next((name for number, name in enumerate(names) if name in names[:number]), None)
    return None if repeated is None else _repeated(repeated)


def _repeated(name: bytes) -> InvalidRequest:
    if name == b"host":
        return BAD_HOST
    return InvalidRequest("repeated_header", f"The header {name.decode()} stands more than once.")


@functools.lru_cache(maxsize=256)
def _sound_host(value: bytes) -> bool:
    return acceptable_host(value.decode("latin-1"))
