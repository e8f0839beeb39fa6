"""Events about one session; where someone else acts in it, they name who."""

from __future__ import annotations

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import id_text, partition_of
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session

Facts = dict[str, str | int | None]


def session_event(
    session: Session,
    what: EventType,
    *,
    by: str,
    now: Instant,
    reason: str | None = None,
    data: Facts | None = None,
) -> Event:
    """Return the event that something happened to *session*, for the *reason* that was given; *data* tells more."""
    facts = acting_facts(session) if session.actor is not None else {}
    if reason is not None:
        facts["reason"] = reason
    if data:
        facts |= data
    return Event(
        type=what,
        at=now,
        partition=partition_of(session.id),
        project=session.project,
        session=session.id,
        subject=session.subject,
        by=by,
        data=facts,
    )


def acting_facts(session: Session) -> Facts:
    """Return who acts in the session when it is not its subject, and by which session of theirs; else nothing."""
    actor = session.actor
    if actor is None:
        return {}
    own: Facts = {} if actor.session is None else {"actor_session": id_text(actor.session)}
    return {"actor": actor.name} | own
