"""A session's story: which events belong to it, and which of them ended it."""

from __future__ import annotations

from sessiond.domain.endings import Ended, Ending
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text, instant_of

_OWN_ENDINGS = frozenset(
    {
        EventType.SESSION_REVOKED,
        EventType.SESSION_EVICTED,
        EventType.SESSION_STEPPED_UP,
        EventType.SESSION_SWITCHED,
        EventType.REFRESH_REUSED,
        EventType.ROTATION_LOST,
    }
)
_SUBJECT_ENDINGS = {
    EventType.SUBJECT_SESSIONS_REVOKED: Ending.SUBJECT_EPOCH,
    EventType.SUBJECT_DISABLED: Ending.SUBJECT_DISABLED,
    EventType.SUBJECT_DELETED: Ending.SUBJECT_GONE,
    EventType.SUBJECT_ERASED: Ending.SUBJECT_GONE,
}
_SUBJECT_STORY = frozenset({*_SUBJECT_ENDINGS, EventType.SUBJECT_ENABLED})
_WIDER_ENDINGS = {
    EventType.PROJECT_SESSIONS_REVOKED: Ending.PROJECT_EPOCH,
    EventType.DEPLOYMENT_RECOVERED: Ending.DEPLOYMENT_EPOCH,
}


def belongs(event: Event, session: SessionId, subject: SubjectId | None) -> bool:
    """Tell whether *event* is part of the story of *session*: its own, or what befell its *subject* in its time."""
    if event.session == session:
        return True
    about = event.session is None and subject is not None and event.subject == subject
    return about and event.type in _SUBJECT_STORY and event.at >= instant_of(session)


def ended_all(event: Event, session: SessionId, project: ProjectId) -> bool:
    """Tell whether *event* ended every session of the project or the deployment in the time of *session*."""
    if event.type not in _WIDER_ENDINGS or event.at < instant_of(session):
        return False
    return event.project == project or event.type is EventType.DEPLOYMENT_RECOVERED


def ended_by(event: Event, session: SessionId) -> Ended | None:
    """Return how *event*, which is part of the story of *session*, ended it; None where it did not."""
    if event.session is not None:
        why = Ending.REVOKED if event.type in _OWN_ENDINGS else None
    elif event.data.get("kept") == id_text(session):
        why = None
    else:
        why = _SUBJECT_ENDINGS.get(event.type) or _WIDER_ENDINGS.get(event.type)
    return None if why is None else Ended(why, event.at, reason_of(event))


def reason_of(event: Event) -> str | None:
    """Return the reason that was given, if any."""
    reason = event.data.get("reason")
    return reason if isinstance(reason, str) else None
