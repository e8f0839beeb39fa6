"""Step-up: the subject authenticated anew, and the session goes on with that assurance under a new id.

A new id, because whoever held the former one, and its tokens, did not show the new assurance (OWASP, session fixation).
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
from msgspec import UNSET, UnsetType

from sessiond.domain.accounts import ended_for
from sessiond.domain.errors import StateConflict
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.initiators import Facts
from sessiond.domain.instants import Instant, later
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session, SessionKind

STEPPED_UP = "stepped_up"

NOT_STEPPABLE = StateConflict(
    "session_not_steppable",
    "Only a session of the native API or of a device steps up; for any other, create one.",
)
"""What the other dialects hand out for a session is theirs, and cannot be replaced here."""

AUTHENTICATION_OUTDATED = StateConflict(
    "authentication_outdated", "The subject has authenticated in this session later than that."
)


class Reauthentication(msgspec.Struct, frozen=True, kw_only=True):
    """That the subject authenticated anew *at* an instant; what is `UNSET` stays as it was.

    *absolute_timeout* given: a new absolute period begins, never longer than the policy's.
    """

    at: Instant
    acr: str | UnsetType | None = UNSET
    amr: tuple[str, ...] | UnsetType = UNSET
    absolute_timeout: timedelta | None = None


def check_steppable(session: Session, authentication: Reauthentication) -> None:
    """Raise unless the session may step up so.

    `StateConflict`: `session_not_steppable`, `authentication_outdated`; `Forbidden`: `impersonated`.
    """
    if session.actor is not None:
        raise IMPERSONATED
    if session.session_kind not in _AFTERWARDS:
        raise NOT_STEPPABLE
    if authentication.at < session.authenticated_at:
        raise AUTHENTICATION_OUTDATED


def stepped_up(
    former: Session, newborn: Session, authentication: Reauthentication, *, policy: Policy
) -> Session:
    """Return *newborn*, which takes the place of *former*, with the assurance of the authentication.

    A device's session becomes one with native tokens, and no device leads to it: the identifier of a device is no
    secret, and may not open what it did not authenticate.
    """
    asked, born = authentication.absolute_timeout, newborn.created_at
    return msgspec.structs.replace(
        newborn,
        session_kind=_AFTERWARDS[former.session_kind],
        rotates=former.rotates or former.session_kind is SessionKind.DEVICE,
        linked_from=None,
        authenticated_at=authentication.at,
        acr=former.acr if authentication.acr is UNSET else authentication.acr,
        amr=former.amr if authentication.amr is UNSET else authentication.amr,
        expires_at=former.expires_at if asked is None else later(born, min(asked, policy.absolute_timeout)),
    )


def replaced(former: Session, successor: Session, *, now: Instant) -> Session:
    """Return *former* ended because *successor* takes its place."""
    if former.browser is not None:
        return ended_for(former, successor, reason=STEPPED_UP, now=now)
    return former.revoked(now=now, reason=STEPPED_UP)


def step_up_facts(successor: Session) -> Facts:
    """Return what the event of a step-up tells of the assurance."""
    return {"acr": successor.acr, "amr": " ".join(successor.amr)}


_AFTERWARDS = {
    SessionKind.TOKENS: SessionKind.TOKENS,
    SessionKind.BROWSER: SessionKind.BROWSER,
    SessionKind.DEVICE: SessionKind.TOKENS,
}
"""The kinds that step up, and what each is afterwards."""
