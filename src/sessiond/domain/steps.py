"""The steps of admission, in the order in which a token passes them (`docs/tokens.md` section 2), and where one failed.

A refusal tells its holder no more than its code. At which step it came about is for those who may know.
"""

from __future__ import annotations

import enum

from sessiond.domain.endings import Ending
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.sessions import INVALID


class Step(enum.StrEnum):
    """What is checked, in this order."""

    TEXT = "text"
    """Size, prefix, alphabet and check."""
    KEY = "key"
    """The key that it names is known, and neither destroyed nor compromised."""
    SIGNATURE = "signature"
    """The MAC; of a JWT the signature and the claims."""
    KIND = "kind"
    """It is of a kind that belongs here."""
    EXPIRY = "expiry"
    """It has not expired itself."""
    ROW = "row"
    """There is such a session."""
    NONCE = "nonce"
    """Nonce and key are those of the session."""
    REVOKED = "revoked"
    """The session was not ended on purpose."""
    ABSOLUTE = "absolute"
    """The session has not reached its absolute limit."""
    IDLE = "idle"
    """The session has not reached its idle limit."""
    EPOCHS = "epochs"
    """Nobody ended all sessions of the deployment, the project, the subject or the one who acts."""
    GENERATION = "generation"
    """It is of the current generation, or of the previous one within the grace."""


class InvalidToken(Unauthenticated):
    """The constant refusal of everything that is no token of a session here; only its class knows the step."""

    def __init__(self, step: Step) -> None:
        super().__init__(INVALID.code, INVALID.detail)
        self.step = step


UNREADABLE = InvalidToken(Step.TEXT)
KEY_UNKNOWN = InvalidToken(Step.KEY)
ROW_ABSENT = InvalidToken(Step.ROW)
NOT_THE_SESSIONS = InvalidToken(Step.NONCE)

_OF_CODES: dict[str, Step] = {
    INVALID.code: Step.SIGNATURE,
    "wrong_token_kind": Step.KIND,
    "token_expired": Step.EXPIRY,
    Ending.REVOKED: Step.REVOKED,
    Ending.ABSOLUTE_TIMEOUT: Step.ABSOLUTE,
    Ending.IDLE_TIMEOUT: Step.IDLE,
    "token_superseded": Step.GENERATION,
    "refresh_token_superseded": Step.GENERATION,
    "store_rollback": Step.GENERATION,
} | {why: Step.EPOCHS for why in Ending if why.name.endswith(("EPOCH", "GONE", "DISABLED", "SESSION"))}


def step_of(refusal: Unauthenticated) -> Step:
    """Return the step at which a token was refused."""
    return refusal.step if isinstance(refusal, InvalidToken) else _OF_CODES[refusal.code]
