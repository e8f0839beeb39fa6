"""Issuing sessions: find or create the subject, make room under its limit, write one change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import msgspec

from sessiond.domain.errors import Forbidden, NotFound, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text, mint_id
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.limits import make_room
from sessiond.domain.policies import Policy
from sessiond.domain.projects import Deployment, Epoch, Project, deployment_key, project_key
from sessiond.domain.records import Key, Record
from sessiond.domain.sessions import Actor, Client, Epochs, Session, SessionKind, Standing, ending
from sessiond.domain.subjects import Subject, SubjectKind, subject_key
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is to be.

    *absolute_timeout* and *idle_timeout* None mean the policy's; a longer one than the policy's is cut to it, unless
    *ceiling* says how far a dialect's contract reaches. *create* None: an unknown subject is refused
    (`subject_unknown`), else it is created as that kind. *find_existing* given: a live session it accepts is
    answered instead of a new one, decided in the same change.
    """

    project: ProjectId
    subject: SubjectId
    session_kind: SessionKind
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
    actor: Actor | None = None
    metadata: Mapping[str, object] = {}
    find_existing: Callable[[Session], bool] | None = None


class Issued(msgspec.Struct, frozen=True):
    """A session that was issued, or found alive when *fresh* is false."""

    session: Session
    subject: Subject
    fresh: bool = True


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

    def policy_of(self, project: Project) -> Policy:
        """Return the project's policy: its own, else the configured one."""
        return project.policy or self._policy

    def epoch(self) -> Epoch:
        """Return a fresh random epoch."""
        return int.from_bytes(self._entropy.bytes(8), signed=True)

    async def issue(self, order: Order) -> Issued:
        """Issue the session that *order* describes.

        Raises `NotFound` (`subject_unknown`, `project_unknown`), `Forbidden` (`subject_disabled`), `StateConflict`
        (`session_limit_reached`).
        """
        return await self._contention.settle((order.project, order.subject), lambda: self._attempt(order))

    async def _attempt(self, order: Order) -> Issued:
        now = self._clock.now()
        partition = self._keys.partition(order.project, order.subject)
        key = subject_key(order.project, order.subject, partition)
        subject, project, deployment = await self._store.get_many(
            [key, project_key(order.project), deployment_key()]
        )
        if not isinstance(project, Project):
            raise NotFound("project_unknown", "There is no such project.")
        if not isinstance(deployment, Deployment):
            raise Unavailable("deployment_missing", "The deployment's control record is gone.")
        found = subject if isinstance(subject, Subject) else None
        born = found or self._newcomer(order, key, now)
        if born.disabled_at is not None:
            raise Forbidden("subject_disabled", "The subject is disabled.")
        policy = self.policy_of(project)
        session = self._born(order, born, project, deployment, policy, now)
        live = (
            await self._live(order, policy, Standing(session, born, project, deployment), now)
            if found
            else ()
        )
        if order.find_existing is not None:
            existing = next((each for each in live if order.find_existing(each)), None)
            if existing is not None:
                return Issued(existing, born, fresh=False)
        evicted = make_room(live, policy)
        counted = policy.max_sessions is not None or order.find_existing is not None
        await self._store.apply(_change(order, found, born, session, evicted, now, counted=counted))
        return Issued(session, born)

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

    async def _live(self, order: Order, policy: Policy, newborn: Standing, now: Instant) -> Sequence[Session]:
        if policy.max_sessions is None and order.find_existing is None:
            return ()
        rows = await self._store.list_by_subject(order.project, order.subject, live_at=now)
        return [row for row in rows if ending(msgspec.structs.replace(newborn, session=row), now) is None]

    def _born(
        self,
        order: Order,
        subject: Subject,
        project: Project,
        deployment: Deployment,
        policy: Policy,
        now: Instant,
    ) -> Session:
        idle = _shorter(order.idle_timeout, policy.idle_timeout)
        root = self._keys.ring.active_root(order.project)
        return Session(
            id=mint_id(now=now, partition=subject.partition, entropy=self._entropy.bytes(8)),
            project=order.project,
            subject=order.subject,
            session_kind=order.session_kind,
            created_at=now,
            authenticated_at=now,
            last_seen_at=now,
            expires_at=later(now, _lifetime(order, policy)),
            idle_timeout_ms=None if idle is None else millis(idle),
            client=order.client,
            acr=order.acr,
            amr=order.amr,
            actor=order.actor,
            metadata=order.metadata,
            nonce=self._entropy.bytes(16),
            kid=root.kid,
            rotated_at=now,
            rotates=order.rotates,
            epochs=Epochs(deployment.epoch, project.epoch, subject.epoch),
        )


def _lifetime(order: Order, policy: Policy) -> timedelta:
    asked = order.absolute_timeout or policy.absolute_timeout
    return min(asked, order.ceiling or policy.absolute_timeout)


def _shorter(asked: timedelta | None, allowed: timedelta | None) -> timedelta | None:
    if asked is None or allowed is None:
        return asked or allowed
    return min(asked, allowed)


def _change(
    order: Order,
    found: Subject | None,
    subject: Subject,
    session: Session,
    evicted: Sequence[Session],
    now: Instant,
    *,
    counted: bool,
) -> Change:
    expects: dict[Key, int] = {session.key: 0}
    puts: list[Record] = [session]
    events = [_event(EventType.SESSION_ISSUED, session, order.by, now, _issued_facts(order))]
    if found is None:
        expects[subject.key] = 0
        puts.append(subject)
        events.insert(0, _event(EventType.SUBJECT_CREATED, session, order.by, now))
    elif counted:
        expects[subject.key] = subject.version
        puts.append(msgspec.structs.replace(subject, version=subject.version + 1))
    for each in evicted:
        expects[each.key] = each.version
        puts.append(each.revoked(now=now, reason="evicted"))
        events.append(
            _event(EventType.SESSION_EVICTED, each, order.by, now, {"successor": id_text(session.id)})
        )
    return Change(partition=subject.partition, expects=expects, puts=puts, events=events)


def _issued_facts(order: Order) -> dict[str, str | int | None]:
    facts: dict[str, str | int | None] = {"kind": order.session_kind.value}
    if order.client.address is not None:
        facts["address"] = order.client.address
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
