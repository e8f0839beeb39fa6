"""Issuing sessions: find or create the subject, make room under its limit, write one change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.endings import ending
from sessiond.domain.errors import Forbidden, NotFound, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text, mint_id, parse_id
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.limits import make_room
from sessiond.domain.policies import Policy
from sessiond.domain.projects import Deployment, Epoch, Project, deployment_key, project_key
from sessiond.domain.records import Key, Record
from sessiond.domain.replays import Replay, check_replayable
from sessiond.domain.sessions import (
    AccessFormat,
    Actor,
    Browser,
    Client,
    Epochs,
    Session,
    SessionKind,
    Standing,
)
from sessiond.domain.subjects import Subject, SubjectKind, check_not_operator, subject_key
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.replays import Memory, Replays, Ticket, remembering


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is to be. *linked_from* is the device that it continues.

    *absolute_timeout* and *idle_timeout* None mean the policy's; a longer one than the policy's is cut to it, unless
    *ceiling* says how far a dialect's contract reaches. *create* None: an unknown subject is refused
    (`subject_unknown`), else it is created as that kind. *find_existing* given: a live session it accepts is
    answered instead of a new one, decided in the same change. *authenticated_at* None means now.

    With an *idempotency_key* a retry is answered with the session that the first order made; *asked* is all that makes
    two orders the same.
    """

    project: ProjectId
    subject: SubjectId
    session_kind: SessionKind
    access_format: AccessFormat = AccessFormat.OPAQUE
    by: str
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
    find_existing: Callable[[Session], bool] | None = None
    idempotency_key: str | None = None
    asked: bytes = b""


class Issued(msgspec.Struct, frozen=True):
    """A session that was issued, or found alive when *fresh* is false."""

    session: Session
    subject: Subject
    policy: Policy
    fresh: bool = True


class _Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is issued on, read at one instant; *found* None: *subject* is to be created with it."""

    now: Instant
    found: Subject | None
    subject: Subject
    project: Project
    deployment: Deployment
    policy: Policy


class Issuing:
    """Issues sessions for subjects of any kind."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        policy: Policy,
        contention: Contention,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._policy = policy
        self._contention = contention
        self._replays = Replays(store, keys)

    def policy_of(self, project: Project) -> Policy:
        """Return the project's policy: its own, else the configured one."""
        return project.policy or self._policy

    def epoch(self) -> Epoch:
        """Return a fresh random epoch."""
        return int.from_bytes(self._entropy.bytes(8), signed=True)

    async def issue(self, order: Order) -> Issued:
        """Issue the session that *order* describes.

        Raises `NotFound` (`subject_unknown`, `project_unknown`), `Forbidden` (`subject_disabled`), `StateConflict`
        (`session_limit_reached`, `replay_superseded`), `InvalidRequest` (`idempotency_key_reused`).
        """
        ticket = self._ticket(order)
        return await self._contention.settle(
            (order.project, order.subject), lambda: self._attempt(order, ticket)
        )

    def _ticket(self, order: Order) -> Ticket | None:
        if order.idempotency_key is None:
            return None
        return self._replays.ticket(
            order.project,
            self._keys.partition(order.project, order.subject),
            idempotency_key=order.idempotency_key,
            scope=None,
            request=("session", order.subject, order.asked),
        )

    async def _attempt(self, order: Order, ticket: Ticket | None) -> Issued:
        if order.session_kind is not SessionKind.OPERATOR:
            check_not_operator(order.project, order.subject)
        ground = await self._ground(order)
        if ticket is None:
            return await self._issue(order, ground, None)
        memory = await self._replays.recall(ticket, ground.now)
        if memory.first is not None:
            return await self._repeat(memory.first, ground)
        await self._replays.claim(ticket, memory, ground.now)
        return await self._issue(order, ground, (ticket, memory))

    async def _repeat(self, first: Replay, ground: _Ground) -> Issued:
        """Answer a retry with what the first order made, while its first tokens are still good."""
        created = parse_id(str(first.created))
        standing = None if created is None else await self._store.find_session(first.project, created)
        return Issued(check_replayable(standing, ground.now), ground.subject, ground.policy, fresh=False)

    async def _issue(self, order: Order, ground: _Ground, retry: tuple[Ticket, Memory] | None) -> Issued:
        found, subject = ground.found, ground.subject
        if subject.disabled_at is not None:
            raise Forbidden("subject_disabled", "The subject is disabled.")
        session = self._born(order, ground)
        live = await self._live(order, ground, session) if found is not None else ()
        if order.find_existing is not None:
            existing = next((each for each in live if order.find_existing(each)), None)
            if existing is not None:
                return Issued(existing, subject, ground.policy, fresh=False)
        change = _change(order, ground, session, make_room(live, ground.policy))
        if retry is not None:
            change = remembering(change, *retry, created=id_text(session.id), now=ground.now)
        await self._store.apply(change)
        return Issued(session, subject, ground.policy)

    async def _ground(self, order: Order) -> _Ground:
        now = self._clock.now()
        key = subject_key(order.project, order.subject, self._keys.partition(order.project, order.subject))
        subject, project, deployment = await self._store.get_many(
            [key, project_key(order.project), deployment_key()]
        )
        if not isinstance(project, Project):
            raise NotFound("project_unknown", "There is no such project.")
        if not isinstance(deployment, Deployment):
            raise Unavailable("deployment_missing", "The deployment's control record is gone.")
        self._keys.adopt(deployment)
        found = subject if isinstance(subject, Subject) else None
        return _Ground(
            now=now,
            found=found,
            subject=found or self._newcomer(order, key, now),
            project=project,
            deployment=deployment,
            policy=self.policy_of(project),
        )

    def _newcomer(self, order: Order, key: Key, now: Instant) -> Subject:
        if order.create is None:
            raise NotFound("subject_unknown", "There is no such subject.", {"subject": order.subject})
        return Subject(
            project=order.project,
            id=order.subject,
            partition=key.partition,
            subject_kind=order.create,
            epoch=self.epoch(),
            created_at=now,
            anonymous=order.anonymous,
            name=order.name,
            hint=order.hint,
        )

    async def _live(self, order: Order, ground: _Ground, newborn: Session) -> Sequence[Session]:
        if not _counted(order, ground.policy):
            return ()
        standing = Standing(newborn, ground.subject, ground.project, ground.deployment)
        rows = await self._store.list_by_subject(order.project, order.subject, live_at=ground.now)
        return [
            row for row in rows if ending(msgspec.structs.replace(standing, session=row), ground.now) is None
        ]

    def _born(self, order: Order, ground: _Ground) -> Session:
        now, policy = ground.now, ground.policy
        idle = _shorter(order.idle_timeout, policy.idle_timeout)
        return Session(
            id=mint_id(now=now, partition=ground.subject.partition, entropy=self._entropy.bytes(8)),
            project=order.project,
            subject=order.subject,
            session_kind=order.session_kind,
            access_format=order.access_format,
            created_at=now,
            authenticated_at=now if order.authenticated_at is None else order.authenticated_at,
            last_seen_at=now,
            expires_at=later(now, _lifetime(order, policy)),
            idle_timeout_ms=None if idle is None else millis(idle),
            client=order.client,
            acr=order.acr,
            amr=order.amr,
            actor=order.actor,
            metadata=order.metadata,
            linked_from=order.linked_from,
            browser=order.browser,
            nonce=self._entropy.bytes(16),
            kid=self._keys.ring.active_root(order.project).kid,
            rotated_at=now,
            rotates=order.rotates,
            epochs=Epochs(ground.deployment.epoch, ground.project.epoch, ground.subject.epoch),
        )


def _counted(order: Order, policy: Policy) -> bool:
    """Tell whether the subject's other sessions matter, so that its version has to move with this change."""
    return policy.max_sessions is not None or order.find_existing is not None


def _lifetime(order: Order, policy: Policy) -> timedelta:
    asked = order.absolute_timeout or policy.absolute_timeout
    return min(asked, order.ceiling or policy.absolute_timeout)


def _shorter(asked: timedelta | None, allowed: timedelta | None) -> timedelta | None:
    if asked is None or allowed is None:
        return asked or allowed
    return min(asked, allowed)


def _change(order: Order, ground: _Ground, session: Session, evicted: Sequence[Session]) -> Change:
    subject, now = ground.subject, ground.now
    expects: dict[Key, int] = {session.key: 0}
    puts: list[Record] = [session]
    events = [_event(EventType.SESSION_ISSUED, session, order.by, now, _issued_facts(order))]
    if ground.found is None:
        expects[subject.key] = 0
        puts.append(subject)
        events.insert(0, _event(EventType.SUBJECT_CREATED, session, order.by, now))
    elif _counted(order, ground.policy):
        expects[subject.key] = subject.version
        puts.append(msgspec.structs.replace(subject, version=subject.version + 1))
    for each in evicted:
        expects[each.key] = each.version
        puts.append(each.revoked(now=now, reason="evicted"))
        successor = {"successor": id_text(session.id)}
        events.append(_event(EventType.SESSION_EVICTED, each, order.by, now, successor))
    return Change(partition=subject.partition, expects=expects, puts=puts, events=events)


def _issued_facts(order: Order) -> dict[str, str | int | None]:
    facts: dict[str, str | int | None] = {"kind": order.session_kind.value}
    if order.client.address is not None:
        facts["address"] = order.client.address
    if order.linked_from is not None:
        facts["linked_from"] = order.linked_from
    if order.actor is not None:
        facts |= {"actor": order.actor.name, "reason": order.actor.reason}
    return facts


def _event(
    what: EventType,
    session: Session,
    by: str,
    now: Instant,
    data: Mapping[str, str | int | None] | None = None,
) -> Event:
    partition = session.key.partition
    return Event(
        type=what,
        at=now,
        partition=partition,
        project=session.project,
        session=SessionId(session.id),
        subject=session.subject,
        by=by,
        data=data or {},
    )
