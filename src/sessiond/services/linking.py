"""Linking a session to a user: the user's session is opened, the former subject remembers it, its own are ended.

The three are changes of their own, in two partitions. Each may be the last before a crash: the same call again finds
what is done and does the rest, and until the former subject remembers, nobody has a token of what was opened.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from sessiond.domain.callers import Manager
from sessiond.domain.devices import LOWEST_ASSURANCE
from sessiond.domain.errors import StateConflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.linking import (
    LINKED_SESSION_ENDED,
    NOT_A_USER,
    already_linked,
    check_user,
    continued,
    link_facts,
)
from sessiond.domain.rules import DeviceRules
from sessiond.domain.sessions import Session, SessionKind, Standing
from sessiond.domain.subjects import Subject, SubjectKind, is_operator
from sessiond.services.contention import CONTENDED, Contention
from sessiond.services.issuing import Issuing
from sessiond.services.orders import Order
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.sessions import Sessions
from sessiond.services.subjects import Subjects

_ROUNDS = 16


class Linking:
    """Links devices and anonymous subjects to users."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        issuing: Issuing,
        sessions: Sessions,
        subjects: Subjects,
        contention: Contention,
        rules: DeviceRules,
    ) -> None:
        self._store = store
        self._clock = clock
        self._issuing = issuing
        self._sessions = sessions
        self._subjects = subjects
        self._contention = contention
        self._rules = rules

    async def continued(self, project: ProjectId, device: SubjectId) -> Session | None:
        """Return the live session that the device was linked to, or None."""
        subject = await self._subjects.get(project, device)
        return None if subject is None else continued(subject, await self._linked(subject), self._clock.now())

    async def link(self, caller: Manager, identifier: SessionId, user: SubjectId) -> Session:
        """Return the session of *user* that continues the one with this id, which is ended with its subject's others.

        Again returns the same. An unknown user is created. Raises `NotFound` (`session_unknown`), `Forbidden`
        (`subject_disabled`), `StateConflict` (`not_anonymous`, `not_a_user`, `session_ended`, `linked_to_another`, and
        `session_limit_reached`).
        """
        if is_operator(caller.project, user):
            raise NOT_A_USER
        check_user(await self._subjects.get(caller.project, user))
        opened: list[Session] = []

        async def attempt() -> Session:
            presented = await self._sessions.managed(caller, identifier)
            device = presented.subject
            if device is None:
                raise LINKED_SESSION_ENDED
            linked = await self._linked(device)
            found = already_linked(presented, linked, user, self._clock.now())
            if found is not None:
                return found
            opened.append(await self._open(presented.session, user, caller.initiator))
            await self._remember(device, presented.session, opened[-1], caller.initiator)
            return opened[-1]

        try:
            session = await self._contention.settle((caller.project, f"link|{identifier.hex()}"), attempt)
        except StateConflict:
            for each in opened:  # another user was linked meanwhile
                await self._sessions.revoke(each, reason="not_linked", by=caller.initiator)
            raise
        if session.linked_from is not None:
            await self._end_former(caller.project, session.linked_from, caller.initiator)
        return session

    async def _linked(self, device: Subject) -> Standing | None:
        """Return the session that the device's record names, whatever became of it."""
        if device.link is None:
            return None
        return await self._store.find_session(device.project, SessionId(device.link.session))

    async def _open(self, former: Session, user: SubjectId, by: Initiator) -> Session:
        """Return the user's session that continues *former*, opened unless a call before has done so."""
        order = Order(
            project=former.project,
            subject=user,
            session_kind=former.session_kind,
            by=by,
            client=former.client,
            create=SubjectKind.USER,
            linked_from=former.subject,
            find_existing=lambda session: session.linked_from == former.subject,
        )
        device = former.session_kind is SessionKind.DEVICE
        order = self._as_device(order) if device else _as_it_was(order, former)
        return (await self._issuing.issue(order)).session

    def _as_device(self, order: Order) -> Order:
        """Return the order of a session that an identifier gets, which is no secret."""
        ttl = self._rules.session_ttl
        return msgspec.structs.replace(order, absolute_timeout=ttl, ceiling=ttl, acr=LOWEST_ASSURANCE)

    async def _remember(self, device: Subject, former: Session, opened: Session, by: Initiator) -> None:
        """Write the link into the device's record, or raise `Conflict` if somebody changed it meanwhile."""
        event = by.did(
            EventType.SUBJECT_LINKED,
            at=self._clock.now(),
            partition=device.partition,
            project=device.project,
            session=former.id,
            subject=device.id,
            data=link_facts(opened.subject, opened),
        )
        await self._store.apply(Change.replacing(device, device.linked(opened.subject, opened.id), event))

    async def _end_former(self, project: ProjectId, device: SubjectId, by: Initiator) -> None:
        """End what lives of the former subject, until nothing does: a step-up may have put another in a place."""
        for _ in range(_ROUNDS):
            living = await self._sessions.list_live(project, device)
            if not living:
                return
            for former in living:
                await self._sessions.revoke(former, reason="linked", by=by)
        raise CONTENDED


def _as_it_was(order: Order, former: Session) -> Order:
    """Return the order of a session that is to *former* as it was, but for its subject: to link is not to sign in."""
    idle = former.idle_timeout_ms
    return msgspec.structs.replace(
        order,
        access_format=former.access_format,
        rotates=former.rotates,
        absolute_timeout=timedelta(milliseconds=former.expires_at - former.created_at),
        idle_timeout=None if idle is None else timedelta(milliseconds=idle),
        acr=former.acr,
        amr=former.amr,
        authenticated_at=former.authenticated_at,
        metadata=former.metadata,
        browser=former.browser,
    )
