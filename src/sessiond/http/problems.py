"""RFC 9457 problem details: how the native API refuses, and whatever no dialect owns."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from sessiond.domain.errors import Refusal
from sessiond.http.answer import Answer
from sessiond.http.dialect import RefusalMedia
from sessiond.http.refusals import status_of
from sessiond.http.request import Request

PROBLEM = "application/problem+json"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A refusal. `code` is stable and lower snake case; further members hold public facts about it."""

    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None


PROBLEM_MEDIA = RefusalMedia(content_type=PROBLEM, type=Problem)

_RESERVED = frozenset({"type", "title", "status", "detail", "code", "instance", "request_id"})


def refuse_with_problem(refusal: Refusal, request: Request | None, *, status: int | None = None) -> Answer:
    """Return *refusal* as problem details, its data as further members; *status* overrides the usual one."""
    status = status_of(refusal) if status is None else status
    problem: dict[str, object] = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if request is not None:
        problem["request_id"] = request.request_id
    problem |= {name: value for name, value in refusal.data.items() if name not in _RESERVED}
    return Answer(status, problem, content_type=PROBLEM)
