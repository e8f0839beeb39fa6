"""Linking: the session of a device, or of an anonymous subject, is continued as a session of a user.

The identifier of a device is no secret. So it opens what a server key linked it to, that one session, until that ends,
and never a new one of the user. An anonymous subject has nothing to come back with: its client gets new tokens.
"""

from __future__ import annotations

from sessiond.domain.endings import ending
from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import SubjectId, id_text
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session, SessionKind, Standing
from sessiond.domain.subjects import Subject, SubjectKind

NOT_ANONYMOUS = StateConflict(
    "not_anonymous", "Only the session of a device or of an anonymous subject can be linked."
)
NOT_A_USER = StateConflict("not_a_user", "Sessions are linked to users who are not anonymous.")
LINKED_TO_ANOTHER = StateConflict("linked_to_another", "It is linked to another user already.")
LINKED_SESSION_ENDED = StateConflict("session_ended", "The session has ended; it cannot be linked any more.")


def continued(device: Subject, linked: Standing | None, now: Instant) -> Session | None:
    """Return the live session that *device* was linked to, or None; *linked* is the one that its record names."""
    if device.disabled_at is not None or device.link is None or linked is None:
        return None
    session = linked.session
    named = session.id == device.link.session and session.linked_from == device.id
    return session if named and ending(linked, now) is None else None


def already_linked(
    presented: Standing, linked: Standing | None, user: SubjectId, now: Instant
) -> Session | None:
    """Return the session of *user* that the presented one was linked to before; None: it is to be linked now.

    *linked* is the session that the presented one's subject names. Raises `StateConflict`: `not_anonymous`,
    `linked_to_another`, `session_ended`.
    """
    session, subject = presented.session, presented.subject
    if not _linkable(session, subject):
        raise NOT_ANONYMOUS
    ended = ending(presented, now) is not None
    if session.linked_from is not None:
        found = None if ended else session
    else:
        found = None if subject is None else continued(subject, linked, now)
    if found is None and ended:
        raise LINKED_SESSION_ENDED
    if found is not None and found.subject != user:
        raise LINKED_TO_ANOTHER
    return found


def _linkable(session: Session, subject: Subject | None) -> bool:
    """Tell whether the session is a device's, an anonymous subject's, or what one of these was linked to."""
    if session.actor is not None:
        return False
    anonymous = subject is not None and subject.anonymous
    return anonymous or session.session_kind is SessionKind.DEVICE or session.linked_from is not None


def check_user(user: Subject | None) -> None:
    """Raise `StateConflict` (`not_a_user`) unless *user* is one that is known to somebody, or nobody yet."""
    if user is not None and (user.subject_kind is not SubjectKind.USER or user.anonymous):
        raise NOT_A_USER


def link_facts(user: SubjectId, opened: Session) -> dict[str, str | int | None]:
    """Return what the event of a link tells besides the device and its session."""
    return {"user": user, "opened": id_text(opened.id)}
