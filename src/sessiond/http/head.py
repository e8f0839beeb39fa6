"""The head of a request: its line and headers, without what tells one connection or moment from another.

Clients say the same again and again. `Heads` keeps those that were read by their bytes, so that the same bytes need not
be read, and judged, anew (`docs/decisions/0091-a-head-is-read-once.md`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import httptools

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
        b"content-encoding",
        b"content-type",
        b"content-length",
        b"origin",
        b"sec-fetch-site",
        b"sessiond-project",
    }
)
MOST_HEADER_CHARS = 8 * 1024

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+) *")
_MOST_KEPT = 4096
_MOST_KEPT_BYTES = 1024
_MOST_KEPT_HEADERS = 32
_REST_SECONDS = 10
_VERSIONS = frozenset({"1.0", "1.1"})
_FRAMING = frozenset({b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Headers that change how a connection is read, or what becomes of it; `Connection` ends it, or has no effect."""


class Head:
    """What a request says before its body.

    *path* is raw, as it was sent. *headers* are in order, their names in lower case; *values* has the last of each
    name, and *repeats* tells whether any stands more than once. *problem* is why the headers are refused, if they are.
    *instant* is what answers at once, if anything does.
    """

    # Defaults stand in the class: fewer stores when one is made, on the hot path.
    http_version = "1.1"
    problem: Refusal | None = None
    instant: Route | None = None
    _bearer: str | None = None

    def __init__(
        self, method: str, path: str, query_string: bytes, headers: Headers, *, keep_alive: bool = True
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.keep_alive = keep_alive
        self.values = values = dict(headers)
        self.repeats = len(values) != len(headers)
        if self.repeats or not _sound_host(values.get(b"host", b"")):
            self.problem = _unsound(headers, values)

    @property
    def bearer(self) -> str | None:
        """The text after `Authorization: Bearer` (any case, RFC 9110 section 11.1); None without a sound one."""
        if self._bearer is None:
            match = _BEARER.fullmatch(self.values.get(b"authorization", b""))
            if match is not None and len(match[0]) < MOST_HEADER_CHARS:
                self._bearer = match[1].decode("ascii")
        return self._bearer

    @functools.cached_property
    def media_type(self) -> str | None:
        """The body's content type without parameters; None where they name another charset, or it is encoded."""
        return _plain_type(
            self.values.get(b"content-type", b"").decode("latin-1"),
            self.values.get(b"content-encoding", b"").decode("latin-1"),
        )

    @property
    def keeps_framing(self) -> bool:
        """Whether it is sound, and nothing in it bears on how the connection is read on but its `Content-Length`."""
        if self.problem is not None or self.repeats or not self.keep_alive or self.http_version != "1.1":
            return False
        return _FRAMING.isdisjoint(self.values)

    @property
    def length(self) -> int:
        """How many bytes its body has, where it says so."""
        return int(self.values.get(b"content-length", b"0"))


def read_head(
    parser: httptools.HttpRequestParser,
    url: bytes,
    headers: Headers,
    find_instant: Callable[[bytes], Route | None],
) -> Head:
    """Return the head that *parser* has come to the end of. Raises what *url* is no URL with."""
    method, keep_alive = parser.get_method().decode("ascii"), parser.should_keep_alive()
    instant = find_instant(url) if method == "GET" else None
    if instant is not None:
        path, query = instant.template, b""
    elif url.startswith(b"/"):
        target, _, query = url.partition(b"?")
        path = target.decode("latin-1")
    else:
        parsed = httptools.parse_url(url)
        path, query = (parsed.path or b"/").decode("latin-1"), parsed.query or b""
    head = Head(method, path, query, headers, keep_alive=keep_alive)
    if b"expect" not in head.values:
        head.instant = instant
    # Only HTTP/1.1 keeps a connection unasked (RFC 9112 section 9.3), and the parser tells its version slowly.
    # One of HTTP/1.0 may be kept by either header: the parser minds the old `Proxy-Connection`, too.
    if not keep_alive or b"connection" in head.values or b"proxy-connection" in head.values:
        head.http_version = parser.get_http_version()
        if head.http_version not in _VERSIONS:
            raise ValueError("this is another protocol")
        head.keep_alive = keep_alive and head.http_version != "1.0"
        if head.http_version == "1.0":
            head.instant = None
    return head


class Heads:
    """Heads by their bytes, as many as few clients need; only such as say nothing about the connection.

    Where hardly any request has a head that is kept, it is not worth to look for them: then nobody does until
    *rests_until*, in the seconds that connections count. *found* is how many were found since that was judged.
    """

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Head, int]] = {}
        self._met: set[int] = set()
        self.found = 0
        self.rests_until = 0

    def find(self, read: bytes, body_bytes: int) -> Head | None:
        """Return the head of exactly these bytes if it announces a body of so many."""
        kept = self._kept.get(read)
        if kept is None or kept[1] != body_bytes:
            return None
        self.found += 1
        return kept[0]

    def keep(self, head: Head, read: bytes, body_bytes: int, now: int) -> None:
        """Keep *head*, if it may be. It began one whole request; *read* up to the first empty line, so much followed.

        Where the head announces as many bytes as followed, it ended where *read* does. What is met for the first time
        may never be met again: only its hash is kept.
        """
        trace = hash(read)
        if trace not in self._met:
            if len(self._met) >= _MOST_KEPT:
                self._judge(now)
            self._met.add(trace)
        elif self._may_keep(head, read) and head.length == body_bytes:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[read] = (head, body_bytes)

    def _may_keep(self, head: Head, read: bytes) -> bool:
        if len(read) > _MOST_KEPT_BYTES or len(head.headers) > _MOST_KEPT_HEADERS:
            return False
        return read.endswith(b"\r\n\r\n") and head.keeps_framing

    def _judge(self, now: int) -> None:
        if self.found < len(self._met):
            self.rests_until = now + _REST_SECONDS
        self._met.clear()
        self.found = 0


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


@functools.lru_cache(maxsize=64)
def _plain_type(content_type: str, encoding: str) -> str | None:
    name, _, parameters = content_type.partition(";")
    encoded = encoding.strip().lower() not in {"", "identity"}
    return None if encoded or not _is_utf8(parameters) else name.strip().lower()


def _is_utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            return False
    return True


@functools.lru_cache(maxsize=256)
def _sound_host(value: bytes) -> bool:
    return acceptable_host(value.decode("latin-1"))
