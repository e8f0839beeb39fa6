"""Stepping up: end a session and let another take its place, with more assurance, in one change of its partition."""

from __future__ import annotations

import msgspec

from sessiond.domain.callers import Manager
from sessiond.domain.endings import ending
from sessiond.domain.errors import StateConflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import SessionId, id_text, mint_id, parse_id, partition_of
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.policies import Policy
from sessiond.domain.records import Record
from sessiond.domain.replays import REPLAY_SUPERSEDED, Replay, check_replayable
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.step_up import Reauthentication, check_steppable, replaced, step_up_facts, stepped_up
from sessiond.services.changing import SESSION_ENDED
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.replays import Memory, Replays, Ticket
from sessiond.services.sessions import Sessions


class SteppedUp(msgspec.Struct, frozen=True):
    """The session that took the former one's place, and the policy that its tokens follow."""

    session: Session
    policy: Policy


class SteppingUp:
    """Replaces sessions by ones of more assurance."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        sessions: Sessions,
        contention: Contention,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._sessions = sessions
        self._contention = contention
        self._replays = Replays(store, keys)

    async def step_up(
        self,
        caller: Manager,
        identifier: SessionId,
        authentication: Reauthentication,
        *,
        idempotency_key: str | None = None,
        asked: bytes = b"",
    ) -> SteppedUp:
        """Return the session that takes the place of the one with this id; the former is dead at once.

        With an *idempotency_key* a retry gets the same one; *asked* is what makes two calls the same. Raises `NotFound`
        (`session_unknown`), `StateConflict` (`session_ended`, `replay_superseded`) and what `check_steppable` does.
        """
        ticket = None
        if idempotency_key is not None:
            ticket = self._replays.ticket(
                caller.project,
                partition_of(identifier),
                idempotency_key=idempotency_key,
                scope=None,
                request=("step_up", id_text(identifier), asked),
            )

        async def attempt() -> SteppedUp:
            now = self._clock.now()
            if ticket is None:
                return await self._replace(caller, identifier, authentication, now, None)
            memory = await self._replays.recall(ticket, now)
            if memory.first is not None:
                return await self._repeat(memory.first, now)
            await self._replays.claim(ticket, memory, now)
            try:
                return await self._replace(caller, identifier, authentication, now, (ticket, memory))
            except StateConflict:  # the same call on another node may have ended it since it was looked up
                memory = await self._replays.recall(ticket, now)
                if memory.first is None:
                    raise
                return await self._repeat(memory.first, now)

        return await self._contention.settle((caller.project, identifier.hex()), attempt)

    async def _repeat(self, first: Replay, now: Instant) -> SteppedUp:
        created = parse_id(str(first.created))
        standing = None if created is None else await self._store.find_session(first.project, created)
        if standing is None:
            raise REPLAY_SUPERSEDED
        return self._answer(check_replayable(standing, now), standing)

    async def _replace(
        self,
        caller: Manager,
        identifier: SessionId,
        authentication: Reauthentication,
        now: Instant,
        retry: tuple[Ticket, Memory] | None,
    ) -> SteppedUp:
        standing = await self._sessions.managed(caller, identifier)
        former = standing.session
        if ending(standing, now) is not None:
            raise SESSION_ENDED
        check_steppable(former, authentication)
        if standing.deployment is not None:
            self._keys.adopt(standing.deployment)
        newborn = self._newborn(former, now)
        successor = stepped_up(former, newborn, authentication, policy=self._sessions.policy_of(standing))
        change = _change(former, successor, caller.initiator, now)
        if retry is not None:
            change = self._replays.remembering(
                change, *retry, subject=successor.subject, created=id_text(successor.id), now=now
            )
        await self._store.apply(change)
        return self._answer(successor, standing)

    def _newborn(self, former: Session, now: Instant) -> Session:
        return former.reborn(
            id=mint_id(now=now, partition=former.key.partition, entropy=self._entropy.bytes(8)),
            nonce=self._entropy.bytes(16),
            kid=self._keys.ring.active_root(former.project).kid,
            now=now,
        )

    def _answer(self, session: Session, standing: Standing) -> SteppedUp:
        return SteppedUp(session, self._sessions.policy_of(standing))


def _change(former: Session, successor: Session, by: Initiator, now: Instant) -> Change:
    """Return the swap. The subject's version stays: it has as many sessions as before."""
    puts: list[Record] = [replaced(former, successor, now=now), successor]
    return Change(
        partition=former.key.partition,
        expects={former.key: former.version, successor.key: 0},
        puts=puts,
        events=[
            session_event(
                former,
                EventType.SESSION_STEPPED_UP,
                by=by,
                now=now,
                data={"successor": id_text(successor.id), **step_up_facts(successor)},
            ),
            session_event(
                successor,
                EventType.SESSION_ISSUED,
                by=by,
                now=now,
                data={"kind": successor.session_kind.value, "former": id_text(former.id)},
            ),
        ],
    )
