"""Callers: who asks, after the credential passed. What each may do is decided by the services.

*address* is where the request came from, behind trusted proxies as they noted it; events tell it.
"""

from __future__ import annotations

import msgspec

from sessiond.domain.events import Event, without_whereabouts
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import OPERATOR, is_operator


class ServerCaller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An application, by a server key, or whoever asks while public access is open (*key_id* None)."""

    project: ProjectId
    name: str
    key_id: str | None = None
    address: str | None = None

    @property
    def label(self) -> str:
        """How events name this caller."""
        return f"server_key:{self.name}" if self.key_id else "public"

    @property
    def initiator(self) -> Initiator:
        """Whom events name for what this caller does."""
        return Initiator(self.label, self.address, self.key_id)


PUBLIC = ServerCaller(project=DEFAULT_PROJECT, name="public access")
"""The caller of an open public endpoint: it acts as a server key of the default project."""


class OperatorCaller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The operator, by the master token (*standing* None), an operator session, or the command line.

    *project* is the one that `Sessiond-Project` names, else the default.
    """

    project: ProjectId
    standing: Standing | None = None
    name: str = "operator"
    address: str | None = None

    @property
    def label(self) -> str:
        """How events name this caller."""
        return self.name

    @property
    def initiator(self) -> Initiator:
        """Whom events name for what this caller does."""
        session = None if self.standing is None else self.standing.session
        return Initiator(self.name, self.address, session=session)


class SubjectCaller(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A subject, by an access token or the session cookie of a session that lives.

    *by_cookie* tells whether the browser attached the credential by itself.
    """

    standing: Standing
    by_cookie: bool = False
    address: str | None = None

    @property
    def project(self) -> ProjectId:
        """The session's project."""
        return self.standing.session.project

    @property
    def subject(self) -> SubjectId:
        """Whom the session is about."""
        return self.standing.session.subject

    @property
    def label(self) -> str:
        """How events name this caller."""
        return holder_label(self.standing.session)

    @property
    def initiator(self) -> Initiator:
        """Whom events name for what this caller does."""
        return holder_of(self.standing.session, self.address)


def holder_label(session: Session) -> str:
    """Return how events name who holds the session: its subject, or whoever acts as it."""
    actor = session.actor
    if actor is None:
        return f"subject:{session.subject}"
    return f"actor:{actor.name}" if actor.subject is None else f"subject:{actor.subject}"


def holder_of(session: Session, address: str | None) -> Initiator:
    """Return whom events name for what is done with the session's own tokens."""
    return Initiator(holder_label(session), address, session=session)


Caller = ServerCaller | OperatorCaller | SubjectCaller
Manager = ServerCaller | OperatorCaller
"""Who manages a project's sessions."""


def manages(caller: Manager, subject: SubjectId) -> bool:
    """Tell whether *caller* manages sessions of *subject*: the operator's are known to the operator alone.

    They lie in the default project, of which a server key manages everything else.
    """
    return isinstance(caller, OperatorCaller) or not is_operator(caller.project, subject)


_TOLD_TO_SERVERS = ("server_key:", "subject:")


def as_told_to(caller: Manager, event: Event) -> Event:
    """Return the event as *caller* may know it: from where the operator works is known to the operator alone."""
    if isinstance(caller, OperatorCaller):
        return event
    operators = event.by == f"subject:{OPERATOR}" and event.project == DEFAULT_PROJECT
    known = event.by.startswith(_TOLD_TO_SERVERS) and not operators
    return event if known else without_whereabouts(event)
