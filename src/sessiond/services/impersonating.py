"""Impersonating: who acts is looked up and checked, and the session is issued as any other."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.ids import SessionId
from sessiond.domain.impersonation import acting_as, check_actor, longest_life
from sessiond.domain.instants import Instant
from sessiond.domain.rules import ImpersonationRules
from sessiond.domain.sessions import Actor, PriorActor, Standing
from sessiond.services.orders import Order
from sessiond.services.ports import Clock, Store


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to act and why: a subject of ours by its live *session*, or somebody whom the application calls *name*.

    *prior* is who acted as that actor before.
    """

    session: SessionId | None = None
    name: str | None = None
    reason: str
    ticket: str | None = None
    prior: PriorActor | None = None


class Impersonating:
    """Makes orders of sessions in which someone else acts."""

    def __init__(self, store: Store, clock: Clock, *, rules: ImpersonationRules) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules

    async def order(self, caller: ServerCaller | OperatorCaller, order: Order, asked: Asked) -> Order:
        """Return *order* with its actor; the subject must exist, and the session lives no longer than it may.

        It is as fresh as the actor's own session, unless the order says otherwise. Raises what `check_actor` does.
        """
        now = self._clock.now()
        if asked.session is None:
            actor = Actor(name=asked.name or "", reason=asked.reason, ticket=asked.ticket, actor=asked.prior)
            return self._acted(order, actor, None, now)
        found = await self._store.find_session(caller.project, asked.session)
        acting = check_actor(found, order.subject, caller, now)
        actor = acting_as(acting, reason=asked.reason, ticket=asked.ticket, prior=asked.prior)
        return self._acted(order, actor, acting, now)

    def _acted(self, order: Order, actor: Actor, acting: Standing | None, now: Instant) -> Order:
        own = None if acting is None else acting.session
        life: timedelta = longest_life(order.absolute_timeout, self._rules.absolute_timeout, own, now)
        return msgspec.structs.replace(
            order,
            actor=actor,
            create=None,
            absolute_timeout=life,
            authenticated_at=order.authenticated_at or (None if own is None else own.authenticated_at),
        )
