"""Session limits: which sessions make room for a new one. Counted in the same change that issues it."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.errors import StateConflict
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.sessions import Session


def make_room(live: Sequence[Session], policy: Policy) -> Sequence[Session]:
    """Return the sessions among *live* that must end so that one more fits; none where the policy has no limit.

    Those in which someone else acts do not count.

    Raises `StateConflict` (`session_limit_reached`) where the policy denies instead.
    """
    if policy.max_sessions is None:
        return ()
    live = [session for session in live if session.actor is None]
    surplus = len(live) - policy.max_sessions + 1
    if surplus <= 0:
        return ()
    match policy.on_limit:
        case OnLimit.DENY:
            raise StateConflict(
                "session_limit_reached",
                f"The subject already has {policy.max_sessions} sessions; end one first.",
            )
        case OnLimit.EVICT_OLDEST:
            return sorted(live, key=lambda session: (session.created_at, session.id))[:surplus]
        case OnLimit.EVICT_IDLE:
            return sorted(live, key=lambda session: (session.last_seen_at, session.id))[:surplus]
