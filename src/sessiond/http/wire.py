"""From an answer to header bytes: what every answer carries, and what may not stand in a header."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

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


class Fixed(NamedTuple):
    """The headers that are the same in every answer of a kind, as pairs and as lines."""

    pairs: Headers
    lines: bytes


class Finished(NamedTuple):
    """An answer ready for the wire."""

    status: int
    headers: Headers
    fixed: Fixed
    body: bytes

    def response(self, common: bytes, *, with_body: bool = True) -> bytes:
        """Return the whole response (HTTP/1.1) with the header lines *common* in it."""
        parts = [STATUS_LINES[self.status], common]
        for name, value in self.headers:
            parts += (name, b": ", value, b"\r\n")
        parts += (self.fixed.lines, b"\r\n")
        if with_body:
            parts.append(self.body)
        return b"".join(parts)


class Finisher:
    """Makes answers ready; what does not change from answer to answer is made once."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, bool, bool, bool], Fixed] = {}

    def finish(self, answer: Answer, request: Request, dialect: Dialect) -> Finished:
        """Return *answer* ready for the wire. Raises `ValueError` for what may not stand in a header."""
        if dialect.decorate is not None:
            answer = dialect.decorate(request, answer)
        body, content_type = encode_body(answer)
        headers: Headers = [(b"x-request-id", request.request_id.encode("ascii"))]
        cached = placed = False
        for name, value in answer.headers:
            known = _name(name)
            cached = cached or known == b"cache-control"
            placed = placed or known == b"content-security-policy"
            headers.append((known, _value(value)))
        for cookie in answer.cookies:
            headers.append((b"set-cookie", _value(cookie.render(secure=request.secure))))
        if answer.status not in _BODILESS:
            headers.append((b"content-length", b"%d" % len(body)))
            if content_type is not None:
                headers.append((b"content-type", content_type.encode("ascii")))
        key_of_fixed = (dialect.name, cached, placed, request.edge.secure)
        fixed = self._fixed.get(key_of_fixed)
        if fixed is None:
            fixed = self._fixed[key_of_fixed] = _fixed(
                dialect, cached=cached, placed=placed, secure=request.edge.secure
            )
        return Finished(answer.status, headers, fixed, body)


def _fixed(dialect: Dialect, *, cached: bool, placed: bool, secure: bool) -> Fixed:
    pairs = list(_ALWAYS)
    if not cached:
        pairs.append(_NO_STORE)
    if not placed:
        pairs.append(_NO_PAGE)
    if secure:
        pairs.append(_HSTS)
    if dialect.cors is not None:
        pairs.append((b"access-control-allow-origin", b"*"))
        if dialect.cors.exposed:
            pairs.append((b"access-control-expose-headers", ", ".join(dialect.cors.exposed).encode("ascii")))
    return Fixed(pairs, head_lines(pairs))


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
    value = text.encode("latin-1")
    if _FORBIDDEN.search(value):
        raise ValueError("a control character may not stand in a header")
    return value
