"""How the original says no: known errors (a code in header and body), and plain text for everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from sessiond.domain.errors import Refusal
from sessiond.http.answer import TEXT, Answer
from sessiond.http.dialect import RefusalMedia
from sessiond.http.refusals import Fault, InvalidMembers, MalformedBody, UnsupportedMediaType, status_of
from sessiond.http.request import Request

JSON_UTF8 = "application/json; charset=utf-8"


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a known error, whose code stands in `X-Stack-Known-Error` too; without a code, an OAuth error's."""

    code: str | None = None
    details: Mapping[str, object] | None = None
    error: str
    error_description: str | None = None


REFUSAL_MEDIA = (
    RefusalMedia(content_type=JSON_UTF8, type=ErrorBody),
    RefusalMedia(content_type=TEXT, type=str),
)


class Known(Refusal):
    """A refusal with a code that the original's clients know; *details* None: the body has none."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(code, message, details or {})
        self.status = status
        self.details = details


class Plain(Refusal):
    """A refusal without a code: its body is the sentence itself."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class OAuthFault(Refusal):
    """An error of RFC 6749 section 5.2: its JSON has no code of the original's."""


class SchemaFaults(Refusal):
    """The input has a wrong shape, each line a problem. The message names the request, so it is made at the end."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("SCHEMA_ERROR", "; ".join(lines))
        self.lines = tuple(lines)

    def known(self, request: Request | None) -> Known:
        """Return the known error of this request."""
        method, path = (
            ("POST", "/api/v1/auth/sessions") if request is None else (request.method, request.head.path)
        )
        listed = "".join(f"\n  - {line}" for line in self.lines)
        message = f"Request validation failed on {method} {path}:{listed}"
        return Known(400, "SCHEMA_ERROR", message, {"message": message})


def schema_fault(line: str) -> SchemaFaults:
    """Return the refusal for one problem."""
    return SchemaFaults((line,))


BODY_NOT_JSON = Known(400, "BODY_PARSING_ERROR", "Invalid JSON in request body")


def refuse(refusal: Refusal, request: Request | None) -> Answer:
    """Render *refusal*: a known error as pretty JSON, an OAuth error as its RFC says, anything else as text."""
    known = _as_known(refusal, request)
    if known is not None:
        return _rendered(known)
    if isinstance(refusal, OAuthFault):
        body = {"error": refusal.code, "error_description": refusal.detail}
        return Answer(400, json.dumps(body).encode(), content_type=JSON_UTF8)
    status = refusal.status if isinstance(refusal, Plain) else status_of(refusal)
    return Answer(status, refusal.detail, content_type=TEXT)


def _as_known(refusal: Refusal, request: Request | None) -> Known | None:
    match refusal:
        case Known():
            return refusal
        case SchemaFaults():
            return refusal.known(request)
        case UnsupportedMediaType():
            return _unsupported(refusal, request)
        case MalformedBody():
            return BODY_NOT_JSON
        case InvalidMembers():
            return SchemaFaults([_line(refusal.where, fault) for fault in refusal.faults]).known(request)
        case _:
            malformed = refusal.code in _MALFORMED_HEADS
            return schema_fault(refusal.detail).known(request) if malformed else None


def _line(where: str, fault: Fault) -> str:
    return f"{where}{fault.pointer.replace('/', '.')} {fault.detail}"


_MALFORMED_HEADS = frozenset({"repeated_header", "malformed_query", "malformed_path"})


def _rendered(error: Known) -> Answer:
    body: dict[str, object] = {"code": error.code}
    if error.details is not None:
        body["details"] = error.details
    body["error"] = error.detail
    text = json.dumps(body, indent=2, ensure_ascii=False)
    headers = (("X-Stack-Known-Error", error.code),)
    return Answer(error.status, text.encode(), headers=headers, content_type=JSON_UTF8)


def _unsupported(refusal: UnsupportedMediaType, request: Request | None) -> Known:
    """Return the refusal of a body; without a content type it is none to the original, so what it lacks is a body."""
    if refusal.content_type is None and request is not None:
        return schema_fault("body must be defined").known(request)
    sent = (refusal.content_type or "").partition(";")[0].strip()
    return Known(400, "BODY_PARSING_ERROR", f"Unknown content type in request body: {sent[:100]}")
