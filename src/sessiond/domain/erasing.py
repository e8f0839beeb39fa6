"""Erasing: what becomes of records of others that name an erased subject. Events have their rule with them."""

from __future__ import annotations

import msgspec

from sessiond.domain.ids import SubjectId
from sessiond.domain.sessions import Actor, PriorActor, Session


def acts_in(session: Session, subject: SubjectId) -> bool:
    """Tell whether *subject* acts in the session, or acted as whom acts."""
    actor: Actor | PriorActor | None = session.actor
    while actor is not None:
        if _is(actor, subject):
            return True
        actor = actor.actor
    return False


def without_actor(session: Session, subject: SubjectId, pseudonym: SubjectId) -> Session:
    """Return the session with *pseudonym* where *subject* acts in it: it is dead with the sessions of who acts."""
    actor = session.actor
    if actor is not None:
        before = _renamed(actor.actor, subject, pseudonym)
        actor = msgspec.structs.replace(actor, actor=before)
        if _is(actor, subject):
            named = None if actor.subject is None else pseudonym
            actor = msgspec.structs.replace(actor, name=pseudonym, subject=named)
    return msgspec.structs.replace(session, actor=actor, version=session.version + 1)


def _is(actor: Actor | PriorActor, subject: SubjectId) -> bool:
    own = actor.subject if isinstance(actor, Actor) else None
    return own == subject or (own is None and actor.name == subject)


def _renamed(actor: PriorActor | None, subject: SubjectId, pseudonym: SubjectId) -> PriorActor | None:
    if actor is None:
        return None
    before = _renamed(actor.actor, subject, pseudonym)
    name = pseudonym if actor.name == subject else actor.name
    return PriorActor(name=name, actor=before)
