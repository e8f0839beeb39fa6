"""Events about one session; where someone else acts in it, they name who."""

from __future__ import annotations

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import partition_of
from sessiond.domain.initiators import Facts, Initiator, acting_facts
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session


def session_event(
    session: Session,
    what: EventType,
    *,
    by: Initiator,
    now: Instant,
    reason: str | None = None,
    data: Facts | None = None,
) -> Event:
    """Return the event that something happened to *session*, for the *reason* that was given; *data* tells more."""
    facts = by.facts(session.id)
    if session.actor is not None:
        facts |= acting_facts(session)
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
        by=by.label,
        data=facts,
    )
