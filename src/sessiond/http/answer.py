"""What an endpoint answers, before it is bytes on a wire."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.http.cookies import SetCookie

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True):
    """A status, a body and what goes with it.

    *body*: None for no body, `bytes` and `str` as they stand, anything else as JSON (members in the order of the
    struct or dict). *content_type* None means JSON for the last, `text/plain` for `str`. The dispatcher adds
    `Cache-Control: no-store` unless *headers* say otherwise, the request id, and the security headers.
    """

    status: int = 200
    body: object = None
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[SetCookie] = ()
    content_type: str | None = None

    def with_headers(self, *headers: tuple[str, str]) -> Answer:
        """Return the answer with *headers* after its own."""
        return msgspec.structs.replace(self, headers=(*self.headers, *headers))


NO_CONTENT = Answer(204)
"""Done, and nothing to say."""


def encode_body(answer: Answer) -> tuple[bytes, str | None]:
    """Return the answer's body as bytes and its content type (None: there is no body)."""
    body = answer.body
    if body is None:
        return b"", answer.content_type
    if isinstance(body, bytes):
        return body, answer.content_type or "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), answer.content_type or TEXT
    return msgspec.json.encode(body), answer.content_type or JSON
