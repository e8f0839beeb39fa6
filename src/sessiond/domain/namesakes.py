"""Namesakes: an id may be given again after its holder was deleted, and who has it then inherits nothing.

What became of the former holder stays where the project's managers look for it; it is not the later one's to read.
"""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import SubjectId
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import Subject


def is_formers(standing: Standing) -> bool:
    """Tell whether the session was a former holder's of its subject's id.

    The present one's may be older than its record by what the clocks of nodes are apart; they share its epoch.
    """
    subject, session = standing.subject, standing.session
    return subject is not None and session.epochs.subject != subject.epoch and predates(session, subject)


def predates(session: Session, subject: Subject | None) -> bool:
    """Tell whether the session began before *subject* was there."""
    return subject is not None and session.created_at < subject.created_at


def since_deleted(events: Sequence[Event], subject: SubjectId) -> Sequence[Event]:
    """Return what of *events*, oldest first, came after the last deletion of a holder of the id."""
    deleted = (
        place
        for place, event in enumerate(events, start=1)
        if event.type is EventType.SUBJECT_DELETED and event.subject == subject
    )
    return events[max(deleted, default=0) :]
