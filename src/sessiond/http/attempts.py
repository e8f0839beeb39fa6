"""Refused attempts: which refusals are told to the audit, and as what."""

from __future__ import annotations

from typing import Protocol

from sessiond.domain.errors import Refusal, Throttled
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.refused_attempts import Attempt
from sessiond.http.request import Request

_BY_CODE = {
    "invalid_master_token": Attempt.MASTER_TOKEN,
    "invalid_access_token": Attempt.MASTER_TOKEN,
    "INVALID_SUPER_SECRET_ADMIN_KEY": Attempt.MASTER_TOKEN,
    "INVALID_SECRET_SERVER_KEY": Attempt.SERVER_KEY,
}
_BY_SCHEME = {
    "serverKey": Attempt.SERVER_KEY,
    "clientBasic": Attempt.SERVER_KEY,
    "masterToken": Attempt.MASTER_TOKEN,
}


class Attempts(Protocol):
    """Counts attempts that were refused."""

    def note(self, attempt: Attempt, project: ProjectId, address: str) -> None:
        """Count one from *address*, in *project*."""
        ...


def note_refused(refusal: Refusal, request: Request, attempts: Attempts | None) -> None:
    """Count *refusal* where it is of a wrong server key or master token, or of one who tries too often."""
    attempt = attempt_of(refusal, request)
    if attempt is not None and attempts is not None:
        project = DEFAULT_PROJECT if request.caller is None else request.caller.project
        attempts.note(attempt, project, request.client_address)


def attempt_of(refusal: Refusal, request: Request) -> Attempt | None:
    """Return what the refused request attempted, None where that is not counted: expired sessions are no attempts."""
    if isinstance(refusal, Throttled):
        return Attempt.THROTTLED
    if refusal.code == "invalid_token" and request.endpoint is not None:
        schemes = [scheme.name for needed in request.endpoint.credential.schemes for scheme in needed]
        return next((_BY_SCHEME[name] for name in schemes if name in _BY_SCHEME), None)
    return _BY_CODE.get(refusal.code)
