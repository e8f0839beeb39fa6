"""From an answer to header bytes: what every answer carries, and what may not stand in a header."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from http import HTTPStatus

import msgspec

from sessiond.domain.errors import Refusal, Throttled, Unavailable
from sessiond.http.answer import JSON, Answer, encode_body
from sessiond.http.dialect import Dialect
from sessiond.http.refusals import MethodNotAllowed
from sessiond.http.request import Request

Headers = list[tuple[bytes, bytes]]

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(rb"[a-z0-9-]+")
_BODILESS = frozenset({204, 304})
_UNAVAILABLE_RETRY_SECONDS = 1
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_NO_STORE = (b"cache-control", b"no-store")
_NO_PAGE = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_REPLACED = frozenset({_NO_STORE[0], _NO_PAGE[0]})
"""What an answer may say itself."""

_NOTHING: frozenset[bytes] = frozenset()


def refused(answer: Answer, refusal: Refusal) -> Answer:
    """Return a refusal's answer with the headers that HTTP asks for (RFC 9110), unless the dialect set them."""
    names = {name.lower() for name, _ in answer.headers}
    added = []
    if isinstance(refusal, MethodNotAllowed) and "allow" not in names:
        added.append(("Allow", ", ".join(refusal.allowed)))
    if "retry-after" not in names:
        if isinstance(refusal, Throttled):
            added.append(("Retry-After", str(refusal.retry_after_seconds)))
        elif isinstance(refusal, Unavailable):
            added.append(("Retry-After", str(_UNAVAILABLE_RETRY_SECONDS)))
    if answer.status == HTTPStatus.UNAUTHORIZED and "www-authenticate" not in names:
        added.append(("WWW-Authenticate", 'Bearer realm="sessiond"'))
    return answer.with_headers(*added) if added else answer


class Finished(msgspec.Struct, frozen=True, gc=False):
    """An answer ready for the wire: *lines* are its header lines, each with its end."""

    status: int
    lines: bytes
    body: bytes

    def head(self, common: bytes) -> bytes:
        """Return what stands before the body (HTTP/1.1), with the header lines *common* in it."""
        return b"%b%b%b\r\n" % (STATUS_LINES[self.status], common, self.lines)

    @property
    def headers(self) -> Headers:
        """Names and values, as ASGI wants them."""
        pairs = [line.partition(b": ") for line in self.lines.splitlines()]
        return [(name, value) for name, _, value in pairs]


class Finisher:
    """Makes answers ready; the lines that are the same in every answer of a kind are made once.

    *secure* tells whether browsers see https.
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._fixed: dict[tuple[str, str | None, frozenset[bytes]], bytes] = {}

    def finish(self, answer: Answer, request: Request, dialect: Dialect) -> Finished:
        """Return *answer* ready for the wire. Raises `ValueError` for what may not stand in a header."""
        if dialect.decorate is not None:
            answer = dialect.decorate(request, answer)
        body, content_type = encode_body(answer)
        lines = b"x-request-id: %b\r\n" % request.request_id.encode("ascii")
        instead = _NOTHING
        for name, value in answer.headers:
            known = _name(name)
            if known in _REPLACED:
                instead |= {known}
            lines += b"%b: %b\r\n" % (known, _value(value))
        for cookie in answer.cookies:
            lines += b"set-cookie: %b\r\n" % _value(cookie.render(secure=request.secure))
        if answer.status in _BODILESS:
            content_type = None
        else:
            lines += b"content-length: %d\r\n" % len(body)
        kind = (dialect.name, content_type, instead)
        fixed = self._fixed.get(kind)
        if fixed is None:
            fixed = self._fixed[kind] = _fixed(dialect, content_type, instead, secure=self._secure)
        return Finished(answer.status, lines + fixed, body)


def _fixed(dialect: Dialect, content_type: str | None, instead: AbstractSet[bytes], *, secure: bool) -> bytes:
    pairs = [] if content_type is None else [(b"content-type", _value(content_type))]
    pairs += _ALWAYS
    pairs += [pair for pair in (_NO_STORE, _NO_PAGE) if pair[0] not in instead]
    if secure:
        pairs.append(_HSTS)
    if dialect.cors is not None:
        pairs.append((b"access-control-allow-origin", b"*"))
        if dialect.cors.exposed:
            pairs.append((b"access-control-expose-headers", ", ".join(dialect.cors.exposed).encode("ascii")))
    return head_lines(pairs)


def preflight(dialect: Dialect) -> Answer:
    """Return the answer to `OPTIONS` (Fetch, CORS preflight) of a dialect with CORS."""
    cors = dialect.cors
    if cors is None:
        raise ValueError(f"the dialect {dialect.name} has no CORS")
    return Answer(
        200,
        headers=(
            ("Access-Control-Allow-Methods", ", ".join(cors.methods)),
            ("Access-Control-Allow-Headers", ", ".join(cors.headers)),
            ("Access-Control-Max-Age", str(cors.max_age_seconds)),
        ),
    )


def head_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return *headers* as lines."""
    return b"".join([part for name, value in headers for part in (name, b": ", value, b"\r\n")])


def json_head(*, secure: bool) -> bytes:
    """Return the header lines of a 200 with JSON, up to the length: what an instant answer starts with."""
    headers = [(b"content-type", JSON.encode()), _NO_STORE, _NO_PAGE, *_ALWAYS]
    if secure:
        headers.append(_HSTS)
    return head_lines(headers) + b"content-length: "


@functools.lru_cache(maxsize=256)
def _name(text: str) -> bytes:
    name = text.lower().encode("ascii")
    if not _TOKEN.fullmatch(name):
        raise ValueError("this is no header name")
    return name


def _value(text: str) -> bytes:
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    value = text.encode("latin-1")
    if _FORBIDDEN.search(value):
        raise ValueError("a control character may not stand in a header")
    return value
