"""Refresh: the decision table of `docs/tokens.md` section 3, one pure function, one test per row."""

from __future__ import annotations

import enum
from datetime import timedelta

from sessiond.domain.instants import Instant, millis
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session

CLOCK_SKEW = timedelta(seconds=5)
_SKEW_MS = millis(CLOCK_SKEW)


class Verdict(enum.Enum):
    """What a presented refresh token means for its session."""

    ROTATED = enum.auto()
    """The current one of a rotating session: the successor is minted."""
    RENEWED = enum.auto()
    """The current one of a session that does not rotate: a fresh access token, nothing written."""
    REPEATED = enum.auto()
    """The previous one, tolerated: the same successor, byte for byte."""
    REUSED = enum.auto()
    """Reuse is certain: the session ends with an alarm."""
    LOST = enum.auto()
    """The previous one after the grace, its successor never seen: the session ends without an alarm."""
    ROLLED_BACK = enum.auto()
    """Newer than the row: the store lost writes, or a key was stolen. Nothing ends."""
    ENDED = enum.auto()
    """The session had already ended."""
    UNSOUND_CLOCK = enum.auto()
    """How long ago the last rotation was cannot be told: no rule that counts time may end anything."""


def decide(
    session: Session, generation: int, *, ended: bool, now: Instant, policy: Policy, stepped: bool = False
) -> Verdict:
    """Return what a refresh token of *generation* means for *session*, whose nonce and key already passed.

    *stepped* tells that the clock stepped since the last rotation: then its age is not known, and what would end the
    session for its age is put off.
    """
    age = now - session.rotated_at
    if ended:
        return Verdict.ENDED
    if age < -_SKEW_MS:
        return Verdict.UNSOUND_CLOCK
    behind = session.generation - generation
    if behind < 0:
        return Verdict.ROLLED_BACK
    if behind == 0:
        return Verdict.ROTATED if session.rotates else Verdict.RENEWED
    if behind > 1:
        return Verdict.REUSED
    verdict = _previous(session, age, policy)
    return Verdict.UNSOUND_CLOCK if stepped and verdict is not Verdict.REPEATED else verdict


def refresh_after(life_seconds: int, draw: bytes) -> int:
    """Return after how many seconds a client is to refresh: uniformly 50 to 90 % of an access token's life.

    *draw* is eight random bytes. Whoever can predict a refresh can stay unnoticed (`docs/security/promises.md`).
    """
    least = -(-life_seconds // 2)
    choices = max(1, life_seconds * 9 // 10 - least + 1)
    return least + (int.from_bytes(draw) * choices >> 8 * len(draw))


def _previous(session: Session, age: int, policy: Policy) -> Verdict:
    confirmed = session.seen_generation >= session.generation
    tolerance = policy.overlap if confirmed else policy.grace
    if tolerance and age <= millis(tolerance):
        return Verdict.REPEATED
    return Verdict.REUSED if confirmed else Verdict.LOST
