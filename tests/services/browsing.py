"""One browser with several accounts, as tests of them use it."""

from __future__ import annotations

import msgspec

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, SubjectId
from sessiond.domain.sessions import Actor, Browser, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from tests.deployment import ALICE, BY, TestDeployment

BOB, CAROL = SubjectId("bob"), SubjectId("carol")


def an_order(*, project: ProjectId = DEFAULT_PROJECT, subject: SubjectId = ALICE) -> Order:
    """Return an order of a browser's session."""
    return Order(
        project=project, subject=subject, session_kind=SessionKind.BROWSER, by=BY, create=SubjectKind.USER
    )


class Browsing:
    """One browser of a deployment, and the cookie it has."""

    def __init__(self, deployment: TestDeployment) -> None:
        self.deployment = deployment
        self.accounts = deployment.services.accounts
        self.session: Session | None = None

    def cookie(self, session: Session | None = None) -> str | None:
        """Return the cookie that stands for *session*, by default for the one that the browser has."""
        session = session or self.session
        if session is None:
            return None
        return self.deployment.services.tokens.opaque(
            TokenKind.BROWSER, session, expires_at=session.expires_at
        )

    async def sign_in(
        self, subject: SubjectId, *, actor: Actor | None = None, remember: bool = True
    ) -> Session:
        """Sign in beside whoever is signed in, and have the new cookie."""
        order = msgspec.structs.replace(
            an_order(subject=subject), actor=actor, browser=Browser(remember=remember)
        )
        issued = await self.accounts.sign_in(order, self.cookie())
        self.session = issued.session
        return issued.session

    @property
    def current(self) -> Session:
        """The session of the cookie."""
        assert self.session is not None
        return self.session

    async def switch(self, target: Session) -> Session:
        """Switch to an account, and have its new cookie."""
        self.session = await self.accounts.switch(self.current, target.id, by=BY)
        return self.session

    async def others(self) -> list[SubjectId]:
        """Return who else is signed in."""
        return [each.subject for each in await self.accounts.list_others(self.current)]

    async def sign_out(self) -> None:
        """Sign everybody out."""
        await self.accounts.sign_out(self.current, reason="signed_out", by=BY)

    async def lives(self, session: Session) -> bool:
        """Tell whether the cookie of *session* is still good."""
        cookie = self.cookie(session)
        assert cookie is not None
        try:
            await self.deployment.services.sessions.verify(cookie)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return False
        return True


async def events_of(browser: Browsing, session: SessionId) -> list[EventType]:
    """Return what was told of a session."""
    written = await browser.deployment.services.store.events(after=0, limit=1000)
    return [event.type for _, event in written if event.session == session]
