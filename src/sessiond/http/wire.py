"""From an answer to header bytes: what every answer carries, and what may not stand in a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from sessiond.domain.errors import Refusal, Throttled, Unavailable
from sessiond.http.answer import JSON, Answer, encode_body
from sessiond.http.dialect import Dialect
from sessiond.http.refusals import MethodNotAllowed
from sessiond.http.request import Request

Headers = list[tuple[bytes, bytes]]

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}

_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
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


def finished(answer: Answer, request: Request, dialect: Dialect) -> tuple[Headers, bytes]:
    """Return all headers (names in lower case) and the body. Raises `ValueError` for what may not stand in a header."""
    if dialect.decorate is not None:
        answer = dialect.decorate(request, answer)
    body, content_type = encode_body(answer)
    headers: Headers = [(name.lower().encode("ascii"), _value(value)) for name, value in answer.headers]
    headers += [(b"set-cookie", _value(cookie.render(secure=request.secure))) for cookie in answer.cookies]
    names = {name for name, _ in headers}
    if answer.status not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
        if content_type is not None and b"content-type" not in names:
            headers.append((b"content-type", content_type.encode("ascii")))
    for default in (_NO_STORE, _NO_PAGE):
        if default[0] not in names:
            headers.append(default)
    headers += _ALWAYS
    if request.edge.secure:
        headers.append(_HSTS)
    if dialect.cors is not None:
        headers.append((b"access-control-allow-origin", b"*"))
        if dialect.cors.exposed:
            headers.append(
                (b"access-control-expose-headers", ", ".join(dialect.cors.exposed).encode("ascii"))
            )
    headers.append((b"x-request-id", request.request_id.encode("ascii")))
    return headers, body


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


def _value(text: str) -> bytes:
    value = text.encode("latin-1")
    if _FORBIDDEN.search(value):
        raise ValueError("a control character may not stand in a header")
    return value
