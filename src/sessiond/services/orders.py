"""Orders: what a session is to be, and the one change that makes it so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.accounts import REPLACED, ended_for
from sessiond.domain.events import EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text
from sessiond.domain.initiators import Facts, Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.policies import Policy
from sessiond.domain.projects import Deployment, Project
from sessiond.domain.records import Key, Record
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import AccessFormat, Actor, Browser, Client, Session, SessionKind
from sessiond.domain.subjects import Subject, SubjectKind
from sessiond.services.ports import Change

_ISSUED, _IMPERSONATED = EventType.SESSION_ISSUED, EventType.SESSION_IMPERSONATED


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session is to be. *linked_from* is whose session it continues, *actor* who acts in it instead.

    *absolute_timeout* and *idle_timeout* None mean the policy's; a longer one than the policy's is cut to it, unless
    *ceiling* says how far a dialect's contract reaches. *create* None: an unknown subject is refused
    (`subject_unknown`), else it is created as that kind. *find_existing* given: a live session it accepts is
    answered instead of a new one, decided in the same change. *authenticated_at* None means now. *replaces* are
    sessions of the subject whose place it takes in their browser: they end in the same change, and fill no limit.

    With an *idempotency_key* a retry is answered with the session that the first order made; *asked* is all that makes
    two orders the same.
    """

    project: ProjectId
    subject: SubjectId
    session_kind: SessionKind
    access_format: AccessFormat = AccessFormat.OPAQUE
    by: Initiator
    client: Client = Client()
    create: SubjectKind | None = None
    anonymous: bool = False
    name: str | None = None
    hint: str | None = None
    rotates: bool = False
    absolute_timeout: timedelta | None = None
    idle_timeout: timedelta | None = None
    ceiling: timedelta | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    authenticated_at: Instant | None = None
    actor: Actor | None = None
    metadata: Mapping[str, object] = {}
    linked_from: SubjectId | None = None
    browser: Browser | None = None
    replaces: tuple[SessionId, ...] = ()
    find_existing: Callable[[Session], bool] | None = None
    idempotency_key: str | None = None
    asked: bytes = b""


class Issued(msgspec.Struct, frozen=True, gc=False):
    """A session that was issued, or found alive when *fresh* is false."""

    session: Session
    subject: Subject
    policy: Policy
    fresh: bool = True


class Ground(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session is issued on, read at one instant; *found* None: *subject* is to be created with it.

    *others_matter* tells whether the subject has other sessions that do, so that its version moves with the change.
    """

    now: Instant
    found: Subject | None
    subject: Subject
    project: Project
    deployment: Deployment
    policy: Policy
    others_matter: bool


def others_matter(order: Order, policy: Policy) -> bool:
    """Tell whether the other sessions of a subject matter to the order."""
    limited = policy.max_sessions is not None and order.actor is None
    return limited or order.find_existing is not None


def absolute_limit(order: Order, policy: Policy) -> timedelta:
    """Return how long the session lives at most."""
    asked = order.absolute_timeout or policy.absolute_timeout
    return min(asked, order.ceiling or policy.absolute_timeout)


def idle_limit(order: Order, policy: Policy) -> timedelta | None:
    """Return how long the session lives unused, or None for no limit."""
    asked, allowed = order.idle_timeout, policy.idle_timeout
    if asked is None or allowed is None:
        return asked or allowed
    return min(asked, allowed)


def birth(
    order: Order, ground: Ground, session: Session, *, evicted: Sequence[Session], replaced: Sequence[Session]
) -> Change:
    """Return the change that *session* is born by, which ends those that are *evicted* for it or *replaced* by it."""
    subject, now = ground.subject, ground.now
    expects: dict[Key, int] = {session.key: 0}
    puts: list[Record] = [session]
    what = _ISSUED if order.actor is None else _IMPERSONATED
    address = order.client.address
    by = order.by.beside(address)
    events = [session_event(session, what, by=by, now=now, data=_issued_facts(order))]
    if ground.found is None:
        expects[subject.key] = 0
        puts.append(subject)
        place: Facts | None = None if address is None else {"address": address}
        created = session_event(session, EventType.SUBJECT_CREATED, by=by, now=now, data=place)
        events.insert(0, created)
    elif ground.others_matter or subject.anonymous:
        # An anonymous subject may be purged at this moment: whoever of the two comes second must notice.
        expects[subject.key] = subject.version
        puts.append(subject.signed_in())
    if evicted or replaced:
        successor: Facts = {"successor": id_text(session.id)}
        for each in evicted:
            expects[each.key] = each.version
            puts.append(each.revoked(now=now, reason="evicted"))
            events.append(
                session_event(each, EventType.SESSION_EVICTED, by=order.by, now=now, data=successor)
            )
        for each in replaced:
            expects[each.key] = each.version
            puts.append(ended_for(each, session, reason=REPLACED, now=now))
            ending = EventType.SESSION_REVOKED
            events.append(session_event(each, ending, by=order.by, now=now, reason=REPLACED, data=successor))
    return Change(partition=subject.partition, expects=expects, puts=puts, events=events)


def _issued_facts(order: Order) -> Facts:
    facts: Facts = {"kind": order.session_kind}
    if order.client.address is not None:
        facts["address"] = order.client.address
    if order.linked_from is not None:
        facts["linked_from"] = order.linked_from
    if order.actor is not None:
        facts |= {"reason": order.actor.reason, "ticket": order.actor.ticket}
    return facts
