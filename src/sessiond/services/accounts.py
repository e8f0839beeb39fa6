"""Accounts: sign in beside others in one browser, switch between them, sign out of one or of all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from sessiond.domain.accounts import (
    ACCOUNT_ENDED,
    ACCOUNT_UNKNOWN,
    MOST_SUCCESSORS,
    Joining,
    accounts_of,
    beside,
    is_account,
    join,
    leads_on,
    successor_of,
    switched,
)
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import ProjectId, SessionId, id_text, mint_id, partition_of
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.records import Record
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Browser, Session, Standing, session_key
from sessiond.services.contention import Contention
from sessiond.services.issuing import Issuing
from sessiond.services.keys import Keys
from sessiond.services.orders import Issued, Order
from sessiond.services.ports import Change, Clock, Entropy, Store
from sessiond.services.sessions import Sessions
from sessiond.services.token_forms import Form

_LEFT = "left"


class Accounts:
    """What the holder of a browser's cookie may do with the accounts of that browser."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        entropy: Entropy,
        *,
        issuing: Issuing,
        sessions: Sessions,
        contention: Contention,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._issuing = issuing
        self._sessions = sessions
        self._contention = contention

    async def sign_in(self, order: Order, cookie: str | None) -> Issued:
        """Issue a browser session; *cookie* is the session cookie that the browser sent, whose accounts it joins.

        A cookie that means nothing here joins nothing. The subject's former session in the browser ends in the same
        change. Raises what `Issuing.issue` does, and `StateConflict` (`too_many_accounts`).
        """
        joining = Joining() if cookie is None else await self._joining(order, cookie)
        browser = msgspec.structs.replace(order.browser or Browser(), accounts=joining.accounts)
        joined = msgspec.structs.replace(order, browser=browser, replaces=joining.replaced)
        issued = await self._issuing.issue(joined)
        await self._end_all(joining.left, reason=_LEFT, by=order.by)
        return issued

    async def list_others(self, holder: Session) -> Sequence[Session]:
        """Return the browser's other accounts that live, the one used last first."""
        return [standing.session for standing in await self._others(holder)]

    async def switch(self, holder: Session, target: SessionId, *, by: Initiator) -> Session:
        """Make another account of the browser the current one, and return its session: under a new id.

        The account that is left stays signed in, unless it is an impersonation: that ends. Raises `NotFound`
        (`account_unknown`), and `StateConflict` (`account_ended`).
        """

        async def attempt() -> Session:
            others = [standing.session for standing in await self._others(holder)]
            chosen = next((each for each in others if each.id == target), None)
            if chosen is None:
                raise ACCOUNT_ENDED if target in accounts_of(holder) else ACCOUNT_UNKNOWN
            return await self._take_up(chosen, beside(chosen, holder, others), by)

        session = await self._contention.settle((holder.project, f"account|{target.hex()}"), attempt)
        if holder.actor is not None:
            await self._end(holder, reason=_LEFT, by=by)
        return session

    async def end(self, holder: Session, account: SessionId, *, by: Initiator) -> None:
        """Sign out of another account of the browser; again is no error. Raises `NotFound` (`account_unknown`).

        It is ended also where another tab has switched to it meanwhile.
        """
        found = [standing.session.id for standing in await self._others(holder)]
        if account not in (*found, *accounts_of(holder)):
            raise ACCOUNT_UNKNOWN
        row = await self._store.get(session_key(holder.project, account))
        if isinstance(row, Session):
            await self._end(row, reason="signed_out", by=by)

    async def sign_out(self, holder: Session, *, reason: str, by: Initiator) -> None:
        """End the holder's session and every other account of its browser: with the cookie goes the way to them.

        The current one goes last: should this break off, the same cookie can do it again.
        """
        others = await self._others(holder, to_end=True)
        if others:
            await self._end_all([standing.session for standing in others], reason="signed_out", by=by)
        await self._end(holder, reason=reason, by=by)

    # -- the parts ------------------------------------------------------------------------------------------------

    async def _joining(self, order: Order, cookie: str) -> Joining:
        present = await self._presented(order.project, cookie)
        if present is None:
            return Joining()
        others = [standing.session for standing in await self._others(present)]
        return join([present, *others], order.subject, impersonated=order.actor is not None)

    async def _presented(self, project: ProjectId, cookie: str) -> Session | None:
        try:
            session = (await self._sessions.verify(cookie, frozenset({Form.BROWSER}))).session
        except Unauthenticated as refusal:
            refusal.forget_where()
            return None
        return session if session.project == project else None

    async def _others(self, holder: Session, *, to_end: bool = False) -> Sequence[Standing]:
        """Return the living among the accounts that the holder's row lists, each at its latest id.

        *to_end*: also those to which the list is too old to lead. Who has it may end them, not use them.
        """
        accounts = accounts_of(holder)
        if not accounts:
            return ()
        now = self._clock.now()
        found = await asyncio.gather(
            *(self._latest(holder, account, now, to_end=to_end) for account in accounts)
        )
        living = {each.session.id: each for each in found if each is not None and is_account(each, now)}
        living.pop(holder.id, None)
        return list(living.values())

    async def _latest(
        self, holder: Session, account: SessionId, now: Instant, *, to_end: bool
    ) -> Standing | None:
        standing = await self._store.find_session(holder.project, account)
        hops = 0
        while standing is not None and (following := successor_of(standing.session)) is not None:
            if not to_end and (hops == MOST_SUCCESSORS or not leads_on(standing.session, holder, now)):
                break
            standing, hops = await self._store.find_session(holder.project, following), hops + 1
        return standing

    async def _take_up(self, former: Session, accounts: tuple[SessionId, ...], by: Initiator) -> Session:
        """Replace *former* by its successor, in one change; whoever comes second finds it ended."""
        now, partition = self._clock.now(), partition_of(former.id)
        ended, successor = switched(
            former,
            accounts,
            id=mint_id(now=now, partition=partition, entropy=self._entropy.bytes(8)),
            nonce=self._entropy.bytes(16),
            kid=self._keys.ring.active_root(former.project).kid,
            now=now,
        )
        puts: list[Record] = [ended, successor]
        await self._store.apply(
            Change(
                partition=partition,
                expects={former.key: former.version, successor.key: 0},
                puts=puts,
                events=[
                    session_event(
                        former,
                        EventType.SESSION_SWITCHED,
                        by=by,
                        now=now,
                        data={"successor": id_text(successor.id)},
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
        )
        return successor

    async def _end_all(self, sessions: Sequence[Session], *, reason: str, by: Initiator) -> None:
        await asyncio.gather(*(self._end(session, reason=reason, by=by) for session in sessions))

    async def _end(self, session: Session, *, reason: str, by: Initiator) -> None:
        """End a session; where another tab switched to it meanwhile, end what took its place."""
        following: Record | None = session
        while isinstance(following, Session):
            ended = await self._sessions.revoke(following, reason=reason, by=by)
            successor = None if ended is None else successor_of(ended)
            following = (
                None if successor is None else await self._store.get(session_key(session.project, successor))
            )
