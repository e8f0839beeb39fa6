"""Assurance: how sure the application was of its subject, when it last looked, and what a resource asks for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import msgspec

from sessiond.domain.errors import Forbidden
from sessiond.domain.instants import Instant, later
from sessiond.domain.sessions import Session

CLOCKS_APART = timedelta(seconds=60)
"""How far ahead the clock of an application may be."""


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource asks of a session: one of *acr*, all of *amr*, and a subject who authenticated within *max_age*.

    Classes are compared as texts: which of two is the higher is the application's to know, so that it names each one
    that will do. What is empty or None asks for nothing.
    """

    acr: Collection[str] = ()
    amr: Collection[str] = ()
    max_age: timedelta | None = None


class InsufficientAuthentication(Forbidden):
    """The session lives and its assurance falls short (RFC 9470); *requirement* is all that was asked for."""

    def __init__(self, requirement: Requirement, detail: str) -> None:
        data: dict[str, object] = {}
        if requirement.acr:
            data["acr_values"] = " ".join(requirement.acr)
        if requirement.amr:
            data["amr_values"] = " ".join(requirement.amr)
        if requirement.max_age is not None:
            data["max_age"] = int(requirement.max_age.total_seconds())
        super().__init__("insufficient_user_authentication", detail, data)
        self.requirement = requirement


def check_assurance(session: Session, requirement: Requirement, now: Instant) -> None:
    """Raise `InsufficientAuthentication` where *session* falls short of *requirement*.

    Freshness counts from the last authentication, which may lie long before the session's creation.
    """
    lacking = []
    if requirement.acr and session.acr not in requirement.acr:
        lacking.append("another authentication level is required")
    if not set(requirement.amr) <= set(session.amr):
        lacking.append("another authentication method is required")
    max_age = requirement.max_age
    if max_age is not None and later(session.authenticated_at, max_age) < now:
        lacking.append("a more recent authentication is required")
    if lacking:
        sentence = "; ".join(lacking)
        raise InsufficientAuthentication(requirement, f"{sentence[0].upper()}{sentence[1:]}.")


def authentication_fault(at: Instant | None, now: Instant) -> str | None:
    """Return why a subject cannot have authenticated *at* this instant (None: what was said is no instant), or None."""
    if at is None:
        return "is no RFC 3339 date-time"
    if at < 0:
        return "lies before 1970"
    return "lies in the future" if at > later(now, CLOCKS_APART) else None
