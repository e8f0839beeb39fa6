"""Admission: whether what a token claims is accepted now.

This is `docs/tokens.md` section 2 from the row on: absent, nonce, key, revoked, absolute, idle, epochs, generation.
Everything before the row (text, key, MAC, expiry) is checked in `crypto`, without touching a store.
"""

from __future__ import annotations

import enum
import hmac
from datetime import timedelta

import msgspec

from sessiond.domain.endings import ending, refuse_ended, time_limit
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.instants import Instant, millis
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.steps import NOT_THE_SESSIONS


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a token whose MAC or signature passed says about its session.

    *nonce* is the 16 bytes of an opaque token; a JWT has None here: its `jti` was checked against the row instead.
    """

    kid: int
    generation: int
    nonce: bytes | None


class Admission(enum.Enum):
    """How a claim stands to its session's generation."""

    CURRENT = enum.auto()
    PREVIOUS = enum.auto()
    NEWER = enum.auto()
    SUPERSEDED = enum.auto()
    FOREIGN = enum.auto()


def recent(session: Session, generation: int) -> bool:
    """Tell whether *generation* is the session's current or previous one."""
    return session.generation - 1 <= generation <= session.generation


def recognise(session: Session, claim: Claim) -> Admission:
    """Tell which generation of *session* the claim is of; `FOREIGN` when nonce or key are not the session's."""
    if claim.nonce is not None and not hmac.compare_digest(claim.nonce, session.nonce):
        return Admission.FOREIGN
    behind = session.generation - claim.generation
    if behind == 0:
        return Admission.CURRENT if claim.kid == session.kid else Admission.FOREIGN
    if behind == 1:
        return Admission.PREVIOUS if claim.kid == session.prev_kid else Admission.FOREIGN
    return Admission.NEWER if behind < 0 else Admission.SUPERSEDED


def admit_access(standing: Standing, claim: Claim, *, now: Instant, grace: timedelta) -> Admission:
    """Return how an access token's claim stands, or raise `Unauthenticated`.

    `NEWER` is returned, not raised: the caller reads strictly and asks again before it refuses (`store_rollback`).
    """
    session = standing.session
    admission = recognise(session, claim)
    if admission is Admission.FOREIGN:
        raise NOT_THE_SESSIONS
    why = ending(standing, now)
    if why is not None:
        raise refuse_ended(standing, why)
    late = now >= session.rotated_at + millis(grace)
    if admission is Admission.SUPERSEDED or (admission is Admission.PREVIOUS and late):
        raise Unauthenticated("token_superseded", "A newer token was issued for this session; use that one.")
    return admission


def admitted_until(standing: Standing, generation: int, expires_at: Instant, *, grace: timedelta) -> Instant:
    """Return the first instant at which time alone changes the answer to an access token that is admitted now."""
    session = standing.session
    until = min(expires_at, time_limit(session))
    if standing.acting is not None:
        until = min(until, time_limit(standing.acting))
    if generation < session.generation:
        until = min(until, session.rotated_at + millis(grace))
    return until
