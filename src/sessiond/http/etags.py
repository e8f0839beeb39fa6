"""Entity tags (RFC 9110 section 8.8.3): what a client has seen, and whether it is still so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

from sessiond.domain.errors import InvalidRequest
from sessiond.http.answer import JSON, Answer
from sessiond.http.request import Request

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_ONE = re.compile(r'(W/)?("[\x21\x23-\x7e]*")')

MALFORMED_TAGS = InvalidRequest(
    "malformed_header", 'If-Match and If-None-Match hold entity tags, as in "abc", or *.'
)


def etag(body: object) -> str:
    """Return the strong tag of a body, given as JSON values or bytes."""
    text = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f'"{sha256(text).hexdigest()[:32]}"'


def cached(request: Request, body: bytes, *headers: tuple[str, str]) -> Answer:
    """Return the JSON *body* with its tag; 304 without it for a client that has it already."""
    tag = etag(body)
    headers = (*headers, ("ETag", tag))
    seen = _named(request, b"if-none-match")
    if seen is not None and (seen == "*" or tag in (each for _, each in seen)):
        return Answer(304, headers=headers)
    return Answer(200, body, headers=headers, content_type=JSON)


def expects_another(request: Request, tag: str) -> bool:
    """Tell whether `If-Match` names other states than the one with *tag*; without the header, none is expected.

    Raises `InvalidRequest` (`malformed_header`): a change whose condition cannot be read is not made.
    """
    if request.header(b"if-match") is None:
        return False
    expected = _named(request, b"if-match")
    if expected is None:
        raise MALFORMED_TAGS
    return expected != "*" and ("", tag) not in expected


def _named(request: Request, header: bytes) -> Sequence[tuple[str, str]] | Literal["*"] | None:
    """Return the tags that *header* names, each with its `W/` or nothing; None for a header that is none, or absent."""
    text = (request.header(header) or "").strip()
    if text == "*":
        return "*"
    return _ONE.findall(text) if _TAGS.fullmatch(text) else None
