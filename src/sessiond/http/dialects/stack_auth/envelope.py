"""What every answer of the original has in common."""

from __future__ import annotations

import json

import msgspec

from sessiond.http.answer import Answer
from sessiond.http.dialects.stack_auth.errors import JSON_UTF8
from sessiond.http.request import Request

_NO_STORE = "no-store, max-age=0"
_OVERRIDABLE = range(400, 500)
_OVERRIDES = (b"x-stack-override-error-status", b"x-hexclave-override-error-status")


def decorate(request: Request, answer: Answer) -> Answer:
    """Return *answer* as the original sends it: its content type, caching and request id.

    With `X-Stack-Override-Error-Status` a 4xx is sent as 200 and says in `X-Stack-Actual-Status` what it is, so that a
    browser's console stays quiet.
    """
    headers = [("X-Stack-Request-Id", request.request_id)]
    if not any(name.lower() == "cache-control" for name, _ in answer.headers):
        headers.append(("Cache-Control", _NO_STORE))
    answer = answer.with_headers(*headers)
    if answer.content_type is None and answer.body is not None and not isinstance(answer.body, bytes | str):
        body = _indented(answer.body) if _wants_page(request) else answer.body
        answer = msgspec.structs.replace(answer, body=body, content_type=JSON_UTF8)
    if answer.status in _OVERRIDABLE and _overrides(request):
        actual = ("X-Stack-Actual-Status", str(answer.status))
        answer = msgspec.structs.replace(answer.with_headers(actual), status=200)
    return answer


def _overrides(request: Request) -> bool:
    return any(request.headers(name) for name in _OVERRIDES)


def _wants_page(request: Request) -> bool:
    return any("text/html" in value for value in request.headers(b"accept"))


def _indented(body: object) -> bytes:
    return json.dumps(json.loads(msgspec.json.encode(body)), indent=2, ensure_ascii=False).encode()
