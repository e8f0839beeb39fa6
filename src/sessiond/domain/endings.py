"""Endings: why a session no longer lives, and what its holder is told."""

from __future__ import annotations

import enum

import msgspec

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import id_text
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.projects import Epoch, LastEnding, Project
from sessiond.domain.sessions import Actor, Session, Standing
from sessiond.domain.subjects import Subject, epoch_of


class Ending(enum.StrEnum):
    """Why a session no longer lives; the values are the refusal codes shown to its holder."""

    REVOKED = "session_revoked"
    ABSOLUTE_TIMEOUT = "session_expired"
    IDLE_TIMEOUT = "session_idle"
    SUBJECT_GONE = "subject_gone"
    SUBJECT_DISABLED = "subject_disabled"
    SUBJECT_EPOCH = "subject_sessions_revoked"
    ACTOR_EPOCH = "actor_sessions_revoked"
    ACTOR_SESSION = "actor_session_ended"
    PROJECT_EPOCH = "project_sessions_revoked"
    DEPLOYMENT_EPOCH = "deployment_recovered"


def ending(standing: Standing, now: Instant) -> Ending | None:
    """Return why the session has ended by *now*, or None while it lives."""
    session = standing.session
    why = ended_alone(session, now) or _overtaken(standing)
    return why if why is not None or session.actor is None else _abandoned(standing, session.actor, now)


def ended_alone(session: Session, now: Instant) -> Ending | None:
    """Return why the session has ended whatever else is true."""
    if session.revoked_at is not None:
        return Ending.REVOKED
    if now >= session.expires_at:
        return Ending.ABSOLUTE_TIMEOUT
    idle = session.idle_timeout_ms
    if idle is not None and now >= session.last_seen_at + idle:
        return Ending.IDLE_TIMEOUT
    return None


def time_limit(session: Session) -> Instant:
    """Return the first instant at which time alone ends the session."""
    idle = session.idle_timeout_ms
    return session.expires_at if idle is None else min(session.expires_at, session.last_seen_at + idle)


def _overtaken(standing: Standing) -> Ending | None:
    subject, epochs = standing.subject, standing.session.epochs
    if standing.deployment is None or standing.deployment.epoch != epochs.deployment:
        return Ending.DEPLOYMENT_EPOCH
    project = standing.project
    if project is None:
        return Ending.PROJECT_EPOCH
    # Whose it is matters in the one project whose operator was ever spared: every verify and every listed row asks.
    spared = project.operators_epoch is not None
    if epochs.project != (epoch_of(project, standing.session.subject) if spared else project.epoch):
        return Ending.PROJECT_EPOCH
    if subject is None:
        return Ending.SUBJECT_GONE
    if subject.disabled_at is not None:
        return Ending.SUBJECT_DISABLED
    return Ending.SUBJECT_EPOCH if subject.epoch != epochs.subject else None


def _abandoned(standing: Standing, actor: Actor, now: Instant) -> Ending | None:
    """Return why the one who acts may no longer, where that is a subject of ours."""
    acting, own = standing.actor, standing.acting
    if actor.subject is None:
        return None
    if acting is None or acting.disabled_at is not None or acting.epoch != actor.epoch:
        return Ending.ACTOR_EPOCH
    if own is None or own.subject != actor.subject or ended_alone(own, now) is not None:
        return Ending.ACTOR_SESSION
    return None if _coeval(standing, own) else Ending.ACTOR_SESSION


def _coeval(standing: Standing, own: Session) -> bool:
    """Tell whether the actor's own session is of today's epochs, as this one is: all may have been ended in between."""
    if standing.project is None or standing.session.epochs.deployment != own.epochs.deployment:
        return False
    return own.epochs.project == epoch_of(standing.project, own.subject)


class Ended(msgspec.Struct, frozen=True, gc=False):
    """By which rule a session ended, and what is still known of it: when, and the reason that was given."""

    why: Ending
    at: Instant | None = None
    reason: str | None = None


def how_ended(standing: Standing, why: Ending) -> Ended:
    """Return how the session ended. Of several epochs that passed since its own, only the last is remembered."""
    session = standing.session
    match why:
        case Ending.REVOKED:
            return Ended(why, session.revoked_at, session.revoked_reason)
        case Ending.ABSOLUTE_TIMEOUT:
            return Ended(why, session.expires_at)
        case Ending.IDLE_TIMEOUT:
            return Ended(why, session.last_seen_at + (session.idle_timeout_ms or 0))
        case Ending.ACTOR_SESSION if standing.acting is not None and _coeval(standing, standing.acting):
            own = standing.acting
            return Ended(why, own.revoked_at or time_limit(own), own.revoked_reason)
        case Ending.SUBJECT_GONE | Ending.ACTOR_SESSION | Ending.DEPLOYMENT_EPOCH:
            return Ended(why)
        case _:
            told = _last_ending(standing, why)
            return Ended(why) if told is None else Ended(why, told.at, told.reason)


def _last_ending(standing: Standing, why: Ending) -> LastEnding | None:
    """Return how the epoch that a session was born in was ended, if that is still known."""
    former: Subject | Project | None = standing.subject
    born: Epoch | None = standing.session.epochs.subject
    if why is Ending.PROJECT_EPOCH:
        former, born = standing.project, standing.session.epochs.project
    elif why is Ending.ACTOR_EPOCH:
        actor = standing.session.actor
        former, born = standing.actor, None if actor is None else actor.epoch
    told = None if former is None else former.last_ending
    return told if told is not None and told.epoch == born else None


def refuse_ended(standing: Standing, why: Ending) -> Unauthenticated:
    """Return the refusal that tells a token's holder why its session has ended, by which rule and when."""
    ended = how_ended(standing, why)
    data: dict[str, object] = {"session_id": id_text(standing.session.id)}
    if ended.reason is not None:
        data["reason"] = ended.reason
    if ended.at is not None:
        data["ended_at"] = rfc3339(ended.at)
    return Unauthenticated(why.value, sentence(ended), data)


def sentence(ended: Ended) -> str:
    """Return in a sentence how the session ended, with the reason and the time where both are known."""
    known = ended.reason is not None and ended.at is not None
    told = f" ({ended.reason}) at {rfc3339(ended.at or 0)}" if known else ""
    return _SENTENCES[ended.why].format(told=told)


# Where the time or the reason are told already, or would tell nothing, a sentence has no place for them.
_SENTENCES = {
    Ending.REVOKED: "The session was revoked{told}.",
    Ending.ABSOLUTE_TIMEOUT: "The session reached its absolute limit; sign in again.",
    Ending.IDLE_TIMEOUT: "The session reached its idle limit; sign in again.",
    Ending.SUBJECT_GONE: "The session's subject no longer exists.",
    Ending.SUBJECT_DISABLED: "The session's subject is disabled.",
    Ending.SUBJECT_EPOCH: "All sessions of the subject were ended{told}; sign in again.",
    Ending.ACTOR_EPOCH: "The sessions of the one who acts were ended{told}.",
    Ending.ACTOR_SESSION: "The session of the one who acts has ended{told}.",
    Ending.PROJECT_EPOCH: "All sessions of the project were ended{told}; sign in again.",
    Ending.DEPLOYMENT_EPOCH: "All sessions were ended by a recovery; sign in again.",
}
