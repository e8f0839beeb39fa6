"""Impersonation: someone else acts as the subject, for a while, for a reason, and never unseen.

Whoever acts sees what the subject sees. What would outlast the impersonation, or reach further than it, is refused.
"""

from __future__ import annotations

from sessiond.domain.errors import Forbidden
from sessiond.domain.sessions import Session

IMPERSONATED = Forbidden("impersonated", "Someone else acts in this session; that may not do this.")


def check_own(session: Session) -> None:
    """Raise `IMPERSONATED` where someone else acts in the session."""
    if session.actor is not None:
        raise IMPERSONATED
