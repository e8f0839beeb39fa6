"""What only the operator may do: what changes a project's keys and rules, whichever application asks."""

from __future__ import annotations

from sessiond.domain.callers import OperatorCaller
from sessiond.domain.errors import Forbidden
from sessiond.http.request import Request

OPERATOR_REQUIRED = Forbidden(
    "operator_required", "This needs the operator: the master token, or an operator session."
)


def operator(request: Request) -> OperatorCaller:
    """Return the operator, or raise `Forbidden` (`operator_required`)."""
    if isinstance(request.caller, OperatorCaller):
        return request.caller
    raise OPERATOR_REQUIRED
