"""How the OAuth endpoints say no: RFC 6749 section 5.2, and our stable code beside it."""

from __future__ import annotations

import re

import msgspec

from sessiond.domain.errors import Forbidden, InvalidRequest, Refusal, Throttled, Unauthenticated, Unavailable
from sessiond.http.answer import Answer
from sessiond.http.dialects.oauth.clients import is_basic
from sessiond.http.refusals import Defect, status_of
from sessiond.http.request import Request
from sessiond.services.tokens import WRONG_KIND

_NOT_IN_DESCRIPTIONS = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_BASIC_CHALLENGE = ("WWW-Authenticate", 'Basic realm="sessiond", charset="UTF-8"')
_ERRORS: tuple[tuple[type[Refusal], str], ...] = (
    (Unauthenticated, "invalid_client"),
    (Forbidden, "unauthorized_client"),
    (Unavailable, "temporarily_unavailable"),
    (Throttled, "temporarily_unavailable"),
    (Defect, "server_error"),
    (Refusal, "invalid_request"),
)


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal (RFC 6749 section 5.2). `error` is from the registry of the RFCs; `code` is ours, and finer."""

    error: str
    error_description: str
    code: str


class OAuthRefusal(InvalidRequest):
    """A refusal with an *error* of its own."""

    def __init__(self, error: str, detail: str, *, code: str | None = None) -> None:
        super().__init__(code or error, detail)
        self.error = error


def invalid_grant(why: Unauthenticated) -> OAuthRefusal:
    """Return the refusal of a grant (RFC 6749: 400, where the native API answers 401)."""
    detail = "This is no refresh token of the native API." if why.code == WRONG_KIND.code else why.detail
    return OAuthRefusal("invalid_grant", detail, code=why.code)


def refuse(refusal: Refusal, request: Request | None) -> Answer:
    """Return `{"error": …, "error_description": …, "code": …}`."""
    body = ErrorAnswer(
        error=_error(refusal),
        error_description=_NOT_IN_DESCRIPTIONS.sub("'", refusal.detail),
        code=refusal.code,
    )
    challenged = isinstance(refusal, Unauthenticated) and request is not None and is_basic(request)
    return Answer(status_of(refusal), body, headers=(_BASIC_CHALLENGE,) if challenged else ())


def _error(refusal: Refusal) -> str:
    if isinstance(refusal, OAuthRefusal):
        return refusal.error
    return next(error for kind, error in _ERRORS if isinstance(refusal, kind))
