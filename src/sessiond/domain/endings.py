"""Endings: why a session no longer lives, and what its holder is told."""

from __future__ import annotations

import enum

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import id_text
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.sessions import Session, Standing


class Ending(enum.StrEnum):
    """Why a session no longer lives; the values are the refusal codes shown to its holder."""

    REVOKED = "session_revoked"
    ABSOLUTE_TIMEOUT = "session_expired"
    IDLE_TIMEOUT = "session_idle"
    SUBJECT_GONE = "subject_gone"
    SUBJECT_DISABLED = "subject_disabled"
    SUBJECT_EPOCH = "subject_sessions_revoked"
    ACTOR_EPOCH = "actor_sessions_revoked"
    PROJECT_EPOCH = "project_sessions_revoked"
    DEPLOYMENT_EPOCH = "deployment_recovered"


def ending(standing: Standing, now: Instant) -> Ending | None:
    """Return why the session has ended by *now*, or None while it lives."""
    session = standing.session
    if session.revoked_at is not None:
        return Ending.REVOKED
    if now >= session.expires_at:
        return Ending.ABSOLUTE_TIMEOUT
    idle = session.idle_timeout_ms
    if idle is not None and now >= session.last_seen_at + idle:
        return Ending.IDLE_TIMEOUT
    return _overtaken(standing)


def _overtaken(standing: Standing) -> Ending | None:  # noqa: PLR0911  one return per rule
    session, subject, epochs = standing.session, standing.subject, standing.session.epochs
    if standing.deployment is None or standing.deployment.epoch != epochs.deployment:
        return Ending.DEPLOYMENT_EPOCH
    if standing.project is None or standing.project.epoch != epochs.project:
        return Ending.PROJECT_EPOCH
    if subject is None:
        return Ending.SUBJECT_GONE
    if subject.disabled_at is not None:
        return Ending.SUBJECT_DISABLED
    if subject.epoch != epochs.subject:
        return Ending.SUBJECT_EPOCH
    actor = session.actor
    if actor is not None and actor.subject is not None:
        acting = standing.actor
        if acting is None or acting.disabled_at is not None or acting.epoch != actor.epoch:
            return Ending.ACTOR_EPOCH
    return None


def ended_at(session: Session, why: Ending) -> Instant | None:
    """Return when the session ended, where the session alone tells it."""
    match why:
        case Ending.REVOKED:
            return session.revoked_at
        case Ending.ABSOLUTE_TIMEOUT:
            return session.expires_at
        case Ending.IDLE_TIMEOUT if session.idle_timeout_ms is not None:
            return session.last_seen_at + session.idle_timeout_ms
        case _:
            return None


def refuse_ended(standing: Standing, why: Ending) -> Unauthenticated:
    """Return the refusal that tells a token's holder why its session has ended, by which rule and when."""
    session, at = standing.session, ended_at(standing.session, why)
    data: dict[str, object] = {"session_id": id_text(session.id)}
    sentence = _SENTENCES[why]
    if why is Ending.REVOKED and at is not None:
        data["reason"] = session.revoked_reason
        sentence = f"The session was revoked ({session.revoked_reason}) at {rfc3339(at)}."
    if at is not None:
        data["ended_at"] = rfc3339(at)
    return Unauthenticated(why.value, sentence, data)


_SENTENCES = {
    Ending.REVOKED: "The session was revoked.",
    Ending.ABSOLUTE_TIMEOUT: "The session reached its absolute limit; sign in again.",
    Ending.IDLE_TIMEOUT: "The session reached its idle limit; sign in again.",
    Ending.SUBJECT_GONE: "The session's subject no longer exists.",
    Ending.SUBJECT_DISABLED: "The session's subject is disabled.",
    Ending.SUBJECT_EPOCH: "All sessions of the subject were ended; sign in again.",
    Ending.ACTOR_EPOCH: "The sessions of the one who acts were ended.",
    Ending.PROJECT_EPOCH: "All sessions of the project were ended; sign in again.",
    Ending.DEPLOYMENT_EPOCH: "All sessions were ended by a recovery; sign in again.",
}
