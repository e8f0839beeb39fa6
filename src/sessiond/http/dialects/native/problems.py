"""How the native API says no: RFC 9457 problem details with a stable `code`."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from sessiond.domain.errors import Refusal
from sessiond.http.answer import Answer
from sessiond.http.refusals import Fault, InvalidMembers, status_of
from sessiond.http.request import Request

PROBLEM_JSON = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 section 3. *code* is stable; *errors* lists every fault of a body with its JSON pointer."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str | None = None
    errors: Sequence[Fault] = ()
    reason: str | None = None
    ended_at: str | None = None


def refuse(refusal: Refusal, request: Request | None) -> Answer:
    """Return the problem that *refusal* is."""
    status = status_of(refusal)
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        code=refusal.code,
        detail=refusal.detail,
        request_id=None if request is None else request.request_id,
        errors=refusal.faults if isinstance(refusal, InvalidMembers) else (),
        reason=_text(refusal, "reason"),
        ended_at=_text(refusal, "ended_at"),
    )
    return Answer(status, problem, content_type=PROBLEM_JSON)


def _text(refusal: Refusal, name: str) -> str | None:
    value = refusal.data.get(name)
    return value if isinstance(value, str) else None
