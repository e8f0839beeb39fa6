"""The values of a template's claims, as a session and its subject have them now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sessiond.domain.claim_templates import LONGEST_VALUE, Template, steps_of
from sessiond.domain.documents import fits_jwts
from sessiond.domain.sessions import Session
from sessiond.domain.subjects import Subject


class Added(msgspec.Struct, frozen=True):
    """The claims to add, in the template's order, and how many were left out because no JWT can say them."""

    claims: Mapping[str, object] = {}
    left_out: int = 0


def added_claims(template: Template, session: Session, subject: Subject | None) -> Added:
    """Return what *template* adds to a token of *session*, without what is not there and what no JWT can say.

    That is what is too long, and what has a number that no JWT of ours may have: our own endpoints refuse such a one.
    """
    claims: dict[str, object] = {}
    left_out = 0
    for name, claim in template.items():
        value = _at(claim.path, session, subject) if isinstance(claim.path, str) else claim.value
        if value is None:
            continue
        if len(msgspec.json.encode(value)) > LONGEST_VALUE or not fits_jwts(value):
            left_out += 1
        else:
            claims[name] = value
    return Added(claims, left_out)


def _at(path: str, session: Session, subject: Subject | None) -> object:
    of_session = _OF_SESSION.get(path)
    if of_session is not None:
        return of_session(session)
    of_subject = _OF_SUBJECT.get(path)
    if of_subject is not None:
        return None if subject is None else of_subject(subject)
    return _within(path, session, subject)


_OF_SESSION: Mapping[str, Callable[[Session], object]] = {
    "session.acr": lambda session: session.acr,
    "session.amr": lambda session: list(session.amr) or None,
    "session.authenticated_at": lambda session: session.authenticated_at // 1000,
    "session.kind": lambda session: session.session_kind.value,
    "session.client.name": lambda session: session.client.name,
}
_OF_SUBJECT: Mapping[str, Callable[[Subject], object]] = {
    "subject.name": lambda subject: subject.name,
    "subject.kind": lambda subject: subject.subject_kind.value,
}


def _within(path: str, session: Session, subject: Subject | None) -> object:
    of_subject = {} if subject is None else subject.profile
    value: object = session.metadata if path.startswith("session.") else of_subject
    for step in steps_of(path):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
