"""Impersonation: someone else acts as the subject, for a while, for a reason, and never unseen.

Who acts sees what the subject sees, and changes nothing of what makes the subject's sign-in: what would outlast the
impersonation, or reach further than it, is `IMPERSONATED`.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.endings import ending
from sessiond.domain.errors import Forbidden, StateConflict
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Actor, PriorActor, Session, SessionKind, Standing

IMPERSONATED = Forbidden("impersonated", "Someone else acts in this session; that may not do this.")
ACTOR_ENDED = StateConflict("actor_session_ended", "The session of the one who is to act does not live.")
ACTOR_IS_SUBJECT = StateConflict("actor_is_subject", "The subject acts for itself already.")

MOST_PRIOR_ACTORS = 4
LONGEST_CHAIN = 512
"""Bytes of all names of one `act` claim: a JWT has its bounds."""

_MILLISECOND = timedelta(milliseconds=1)


def check_own(session: Session) -> None:
    """Raise `IMPERSONATED` where someone else acts in the session."""
    if session.actor is not None:
        raise IMPERSONATED


def check_actor(
    acting: Standing | None, subject: SubjectId, caller: ServerCaller | OperatorCaller, now: Instant
) -> Standing:
    """Return the standing of the session by which a subject of ours is to act as *subject*, or raise.

    `StateConflict`: `actor_session_ended` (also for one that is unknown, or an operator's that the operator does not
    name), `actor_is_subject`; `Forbidden`: `impersonated`, where somebody else acts in it.
    """
    if acting is None or acting.session.project != caller.project or ending(acting, now) is not None:
        raise ACTOR_ENDED
    session = acting.session
    if session.session_kind is SessionKind.OPERATOR and not isinstance(caller, OperatorCaller):
        raise ACTOR_ENDED
    check_own(session)
    if session.subject == subject:
        raise ACTOR_IS_SUBJECT
    return acting


def acting_as(
    acting: Standing, *, reason: str, ticket: str | None = None, prior: PriorActor | None = None
) -> Actor:
    """Return the actor that the subject of the session *acting* is."""
    session = acting.session
    return Actor(
        name=session.subject,
        reason=reason,
        ticket=ticket,
        subject=session.subject,
        partition=session.key.partition,
        session=session.id,
        epoch=session.epochs.subject,
        actor=prior,
    )


def longest_life(asked: timedelta | None, most: timedelta, acting: Session | None, now: Instant) -> timedelta:
    """Return how long an impersonation may live: no longer than *asked*, than the rule, or than the actor's session."""
    life = most if asked is None else min(asked, most)
    return life if acting is None else min(life, (acting.expires_at - now) * _MILLISECOND)


def chain_fault(name: str, prior: PriorActor | None) -> str | None:
    """Return why so many, or such long, names cannot be kept of those who act, or None."""
    names = [name]
    while prior is not None:
        names.append(prior.name)
        prior = prior.actor
    if len(names) > 1 + MOST_PRIOR_ACTORS:
        return f"names more than {MOST_PRIOR_ACTORS} actors before this one"
    longest = sum(len(msgspec.json.encode(each)) for each in names)
    return f"has names of more than {LONGEST_CHAIN} bytes together" if longest > LONGEST_CHAIN else None


def act_claim(actor: Actor | PriorActor) -> dict[str, object]:
    """Return the `act` claim (RFC 8693 section 4.1): who acts now, and within it who acted before."""
    claim: dict[str, object] = {"sub": actor.name}
    if actor.actor is not None:
        claim["act"] = act_claim(actor.actor)
    return claim
