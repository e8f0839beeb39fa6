"""Entity tags (RFC 9110 section 8.8.3): what a client has seen, and whether it is still so."""

from __future__ import annotations

import re
from hashlib import sha256

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
    if _matches(request, "if-none-match", tag, weakly=True):
        return Answer(304, headers=headers)
    return Answer(200, body, headers=headers, content_type=JSON)


def expects_another(request: Request, tag: str) -> bool:
    """Tell whether `If-Match` names other states than the one with *tag*; without the header, none is expected."""
    return request.header("if-match") is not None and not _matches(request, "if-match", tag, weakly=False)


def _matches(request: Request, header: str, tag: str, *, weakly: bool) -> bool:
    text = request.header(header)
    if text is None:
        return False
    if text.strip() == "*":
        return True
    if _TAGS.fullmatch(text.strip()) is None:
        raise MALFORMED_TAGS
    return any(each == tag and (weakly or not weak) for weak, each in _ONE.findall(text))
