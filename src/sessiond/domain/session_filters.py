"""Which sessions a list is about."""

from __future__ import annotations

import enum

import msgspec

from sessiond.domain.endings import Ending
from sessiond.domain.ids import SubjectId, id_text
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session, SessionKind


class State(enum.StrEnum):
    """Whether a session lives."""

    LIVE = "live"
    ENDED = "ended"
    ALL = "all"


# By these names, since every listed row is asked: to find a member on its enum takes as long as all else (Python 3.11).
_LIVE, _ALL = State.LIVE, State.ALL


class Span(msgspec.Struct, frozen=True):
    """From one instant on, and before another; None is open."""

    start: Instant | None = None
    end: Instant | None = None

    def holds(self, at: Instant) -> bool:
        """Tell whether *at* lies in it."""
        return (self.start is None or at >= self.start) and (self.end is None or at < self.end)


EVER = Span()
"""At any time."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """What sessions must be like to be listed; None asks for nothing.

    *actor* is the id or the name of who impersonates. In any case of letters: *client* is part of the client's name;
    *text* part of the subject's id, the client's name, address or user agent, or what the session's id begins with.
    """

    subject: SubjectId | None = None
    state: State = State.LIVE
    session_kind: SessionKind | None = None
    actor: str | None = None
    client: str | None = None
    text: str | None = None
    created: Span = EVER
    seen: Span = EVER

    def holds(self, session: Session, why: Ending | None) -> bool:
        """Tell whether *session*, which has ended by *why* (None: it lives), is listed."""
        if self.state is not _ALL and (self.state is _LIVE) != (why is None):
            return False
        if self.session_kind is not None and session.session_kind is not self.session_kind:
            return False
        if self.actor is not None and self.actor not in _actor_of(session):
            return False
        if self.client is not None and self.client.casefold() not in (session.client.name or "").casefold():
            return False
        if self.text is not None and not _mentions(session, self.text.casefold()):
            return False
        in_time = self.created is EVER or self.created.holds(session.created_at)
        return in_time and (self.seen is EVER or self.seen.holds(session.last_seen_at))


def _actor_of(session: Session) -> tuple[str | None, ...]:
    actor = session.actor
    return () if actor is None else (actor.subject, actor.name)


def _mentions(session: Session, text: str) -> bool:
    client = session.client
    shown = (session.subject, client.name, client.address, client.user_agent)
    return id_text(session.id).startswith(text) or any(
        text in each.casefold() for each in shown if each is not None
    )
