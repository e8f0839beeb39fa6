"""What a verify may ask of a session's assurance, and the challenge where it falls short (RFC 9470)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.assurance import InsufficientAuthentication, Requirement, check_assurance
from sessiond.domain.errors import Refusal
from sessiond.domain.sessions import Session
from sessiond.http.answer import Answer
from sessiond.http.problems import refuse_with_problem
from sessiond.http.request import Request

# What stands in a quoted string of a header without being escaped (RFC 6750 section 3).
_VALUES = r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$"
_LONGEST = 1024
_MOST_SECONDS = 10 * 365 * 24 * 60 * 60

Values = Annotated[str, Meta(pattern=_VALUES, max_length=_LONGEST)]


class RequireQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the session has to have; 403 `insufficient_user_authentication` where it falls short."""

    acr: Annotated[
        Values | None, Meta(description="Authentication context classes, separated by spaces: one of them.")
    ] = None
    amr: Annotated[
        Values | None, Meta(description="Authentication methods, separated by spaces: all of them.")
    ] = None
    max_age: Annotated[
        Annotated[int, Meta(ge=0, le=_MOST_SECONDS)] | None,
        Meta(description="Seconds that may have passed since the subject last authenticated."),
    ] = None


SAMPLE_SHORTFALL = InsufficientAuthentication(
    Requirement(acr=("urn:example:gold",), max_age=timedelta(minutes=5)),
    "Another authentication level is required; a more recent authentication is required.",
)


def require(session: Session, request: Request) -> None:
    """Raise `InsufficientAuthentication` where *session* falls short of what the request's query asks for."""
    query = request.query_as(RequireQuery)
    if query == _NOTHING:
        return
    requirement = Requirement(
        acr=_each(query.acr),
        amr=_each(query.amr),
        max_age=None if query.max_age is None else timedelta(seconds=query.max_age),
    )
    check_assurance(session, requirement, request.now)


def refuse(refusal: Refusal, request: Request | None) -> Answer:
    """Return *refusal* as problem details, with the challenge where an authentication would help."""
    answer = refuse_with_problem(refusal, request)
    if isinstance(refusal, InsufficientAuthentication):
        return answer.with_headers(("WWW-Authenticate", _challenge(refusal)))
    return answer


def _challenge(refusal: InsufficientAuthentication) -> str:
    parts = {"error": refusal.code, "error_description": refusal.detail}
    parts |= {name: str(refusal.data[name]) for name in ("acr_values", "max_age") if name in refusal.data}
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items())


_NOTHING = RequireQuery()


def _each(values: str | None) -> tuple[str, ...]:
    return () if values is None else tuple(values.split(" "))
