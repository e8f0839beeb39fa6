"""Issuing sessions: find or create the subject, make room under its limit, write one change."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.crypto.tokens import NONCE_SIZE
from sessiond.domain.accounts import successor_of
from sessiond.domain.endings import ending
from sessiond.domain.errors import Forbidden, NotFound, StateConflict, Unavailable
from sessiond.domain.ids import SessionId, id_text, mint_id, parse_id
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.limits import make_room
from sessiond.domain.policies import Policy
from sessiond.domain.projects import (
    EPOCH_ENTROPY,
    Deployment,
    Epoch,
    Project,
    draw_epoch,
)
from sessiond.domain.replays import Replay, check_replayable
from sessiond.domain.sessions import (
    Epochs,
    Session,
    SessionKind,
    Standing,
    session_key,
)
from sessiond.domain.subjects import SUBJECT_RESERVED, Subject, epoch_of, is_operator
from sessiond.services.contention import Contention
from sessiond.services.footing import Foreseen, footing_keys
from sessiond.services.keys import Keys
from sessiond.services.orders import Ground, Issued, Order, absolute_limit, birth, idle_limit, others_matter
from sessiond.services.ports import Clock, Entropy, Store
from sessiond.services.replays import Memory, Replays, Ticket


class _Keyed(msgspec.Struct, frozen=True):
    """An order that came with an idempotency key: its ticket, what is remembered of it, and what it is issued on."""

    ticket: Ticket
    memory: Memory
    ground: Ground


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
        return draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))

    async def issue(self, order: Order, foreseen: Foreseen | None = None) -> Issued:
        """Issue the session that *order* describes, on what is *foreseen* where that is of its subject.

        Raises `NotFound` (`subject_unknown`, `project_unknown`), `Forbidden` (`subject_disabled`), `StateConflict`
        (`session_limit_reached`, `replay_superseded`), `InvalidRequest` (`idempotency_key_reused`).
        """
        if is_operator(order.project, order.subject) and order.session_kind is not SessionKind.OPERATOR:
            raise SUBJECT_RESERVED
        contended = (order.project, order.subject)
        if order.idempotency_key is None:
            return await self._contention.settle(contended, self._issue, order, None, foreseen)
        ticket = self._ticket(order, order.idempotency_key)
        return await self._contention.settle(contended, self._issue_once, order, ticket, foreseen)

    def _ticket(self, order: Order, idempotency_key: str) -> Ticket:
        return self._replays.ticket(
            order.project,
            self._keys.partition(order.project, order.subject),
            idempotency_key=idempotency_key,
            scope=None,
            request=("session", order.subject, order.asked),
        )

    async def _issue_once(self, order: Order, ticket: Ticket, foreseen: Foreseen | None) -> Issued:
        """Issue the session, unless the order with the same key was carried out: then answer with that one's."""
        ground = await self._ground(order, foreseen)
        memory = await self._replays.recall(ticket, ground.now)
        if memory.first is not None:
            return await self._repeat(memory.first, ground)
        await self._replays.claim(ticket, memory, ground.now)
        try:
            return await self._issue(order, _Keyed(ticket, memory, ground), None)
        except StateConflict:  # the same order on another node may have taken the place meanwhile
            memory = await self._replays.recall(ticket, ground.now)
            if memory.first is None:
                raise
            return await self._repeat(memory.first, ground)

    async def _repeat(self, first: Replay, ground: Ground) -> Issued:
        """Answer a retry with what the first order made, while its first tokens are still good."""
        created = parse_id(str(first.created))
        standing = None if created is None else await self._store.find_session(first.project, created)
        return Issued(check_replayable(standing, ground.now), ground.subject, ground.policy, fresh=False)

    async def _issue(self, order: Order, keyed: _Keyed | None, foreseen: Foreseen | None) -> Issued:
        ground = await self._ground(order, foreseen) if keyed is None else keyed.ground
        subject = ground.subject
        if subject.disabled_at is not None:
            raise Forbidden("subject_disabled", "The subject is disabled.")
        session = self._born(order, ground)
        replaced = await self._replaced(order) if order.replaces else ()
        evicted: Sequence[Session] = ()
        if ground.others_matter:
            live = await self._live(order, ground, session)
            if order.find_existing is not None:
                existing = next((each for each in live if order.find_existing(each)), None)
                if existing is not None:
                    return Issued(existing, subject, ground.policy, fresh=False)
            leaving = {each.id for each in replaced}
            evicted = make_room([each for each in live if each.id not in leaving], ground.policy)
        change = birth(order, ground, session, evicted=evicted, replaced=replaced)
        if keyed is not None:
            change = self._replays.remembering(
                change,
                keyed.ticket,
                keyed.memory,
                subject=session.subject,
                created=id_text(session.id),
                now=ground.now,
            )
        await self._store.apply(change)
        return Issued(session, subject, ground.policy)

    async def _ground(self, order: Order, foreseen: Foreseen | None) -> Ground:
        now = self._clock.now()
        footing = None if foreseen is None else foreseen.take(order.project, order.subject)
        if footing is None:
            footing = await self._store.get_many(footing_keys(self._keys, order.project, order.subject))
        subject, project, deployment = footing
        if not isinstance(deployment, Deployment):
            raise Unavailable("deployment_missing", "The deployment's control record is gone.")
        if not isinstance(project, Project):
            raise NotFound("project_unknown", "There is no such project.")
        self._keys.adopt(deployment)
        policy = self.policy_of(project)
        found = subject if isinstance(subject, Subject) else None
        return Ground(
            now=now,
            found=found,
            subject=found or self._newcomer(order, now),
            project=project,
            deployment=deployment,
            policy=policy,
            others_matter=found is not None and others_matter(order, policy),
        )

    def _newcomer(self, order: Order, now: Instant) -> Subject:
        if order.create is None:
            raise NotFound("subject_unknown", "There is no such subject.", {"subject": order.subject})
        return Subject(
            project=order.project,
            id=order.subject,
            partition=self._keys.partition(order.project, order.subject),
            subject_kind=order.create,
            epoch=self.epoch(),
            created_at=now,
            anonymous=order.anonymous,
            name=order.name,
            hint=order.hint,
        )

    async def _live(self, order: Order, ground: Ground, newborn: Session) -> Sequence[Session]:
        standing = Standing(newborn, ground.subject, ground.project, ground.deployment)
        rows = await self._store.list_by_subject(
            order.project, order.subject, live_at=ground.now, partition=ground.subject.partition
        )
        return [
            row for row in rows if ending(msgspec.structs.replace(standing, session=row), ground.now) is None
        ]

    async def _replaced(self, order: Order) -> Sequence[Session]:
        """Return the sessions whose place the new one takes, each at its latest id."""
        found: list[Session] = []
        for identifier in order.replaces:
            following: SessionId | None = identifier
            while following is not None:
                row = await self._store.get(session_key(order.project, following))
                if not isinstance(row, Session):
                    break
                if row.revoked_at is None:
                    found.append(row)
                following = successor_of(row)
        return found

    def _born(self, order: Order, ground: Ground) -> Session:
        now, policy = ground.now, ground.policy
        idle = idle_limit(order, policy)
        drawn = self._entropy.bytes(8 + NONCE_SIZE)
        born = Session(
            id=mint_id(now=now, partition=ground.subject.partition, entropy=drawn[:8]),
            project=order.project,
            subject=order.subject,
            session_kind=order.session_kind,
            access_format=order.access_format,
            created_at=now,
            authenticated_at=now if order.authenticated_at is None else order.authenticated_at,
            last_seen_at=now,
            expires_at=later(now, absolute_limit(order, policy)),
            client=order.client,
            nonce=drawn[8:],
            kid=self._keys.ring.active_root(order.project).kid,
            rotated_at=now,
            rotates=order.rotates,
            epochs=Epochs(
                ground.deployment.epoch, epoch_of(ground.project, order.subject), ground.subject.epoch
            ),
        )
        # Fifteen named arguments at once: CPython passes more through a dict, which takes twice as long.
        return msgspec.structs.replace(
            born,
            idle_timeout_ms=None if idle is None else millis(idle),
            acr=order.acr,
            amr=order.amr,
            actor=order.actor,
            metadata=order.metadata,
            linked_from=order.linked_from,
            browser=order.browser,
        )
