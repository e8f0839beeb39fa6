"""Several accounts in one browser: sign in beside others, switch, sign out, and what happens when tabs race."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import NotFound, StateConflict, Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Actor, Browser, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store
from tests.deployment import ALICE, BY, TestDeployment

BOB, CAROL = SubjectId("bob"), SubjectId("carol")


class Interrupted:
    """A store before whose next `revoke` something else happens."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before_revoke: Any = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store has
        return getattr(self._store, name)

    async def revoke(self, revocations: Any) -> Sequence[Session | None]:  # noqa: ANN401
        interruption, self.before_revoke = self.before_revoke, None
        if interruption is not None:
            await interruption()
        return await self._store.revoke(revocations)


def an_order(*, project: ProjectId = DEFAULT_PROJECT, subject: SubjectId = ALICE) -> Order:
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
        session = session or self.session
        if session is None:
            return None
        return self.deployment.services.tokens.opaque(
            TokenKind.BROWSER, session, expires_at=session.expires_at
        )

    async def sign_in(
        self, subject: SubjectId, *, actor: Actor | None = None, remember: bool = True
    ) -> Session:
        order = msgspec.structs.replace(
            an_order(subject=subject), actor=actor, browser=Browser(remember=remember)
        )
        issued = await self.accounts.sign_in(order, self.cookie())
        self.session = issued.session
        return issued.session

    @property
    def current(self) -> Session:
        assert self.session is not None
        return self.session

    async def switch(self, target: Session) -> Session:
        self.session = await self.accounts.switch(self.current, target.id, by=BY)
        return self.session

    async def others(self) -> list[SubjectId]:
        return [each.subject for each in await self.accounts.list_others(self.current)]

    async def sign_out(self) -> None:
        await self.accounts.sign_out(self.current, reason="signed_out", by=BY)

    async def lives(self, session: Session) -> bool:
        cookie = self.cookie(session)
        assert cookie is not None
        try:
            await self.deployment.services.sessions.verify(cookie)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return False
        return True


@pytest.fixture
async def browser() -> Browsing:
    return Browsing(await TestDeployment.born())


async def events_of(browser: Browsing, session: SessionId) -> list[EventType]:
    written = await browser.deployment.services.store.events(after=0, limit=1000)
    return [event.type for _, event in written if event.session == session]


async def test_a_sign_in_beside_another_keeps_both_accounts(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    assert await browser.others() == [ALICE]
    assert await browser.lives(alice)
    assert await browser.lives(bob)


async def test_a_sign_in_without_the_cookie_joins_nothing(browser: Browsing) -> None:
    await browser.sign_in(ALICE)
    browser.session = None

    await browser.sign_in(BOB)

    assert await browser.others() == []


async def test_a_sign_in_of_the_same_subject_replaces_its_session(browser: Browsing) -> None:
    former = await browser.sign_in(ALICE)
    again = await browser.sign_in(ALICE)

    assert again.id != former.id
    assert not await browser.lives(former)
    assert await browser.others() == []


@pytest.mark.parametrize("on_limit", list(OnLimit))
async def test_what_a_sign_in_replaces_takes_no_place_under_the_limit(on_limit: OnLimit) -> None:
    policy = Policy(max_sessions=2, on_limit=on_limit)
    browser = Browsing(await TestDeployment.born(Rules(policy=policy)))
    phone = await Browsing(browser.deployment).sign_in(ALICE)
    former = await browser.sign_in(ALICE)

    again = await browser.sign_in(ALICE)

    assert [await browser.lives(each) for each in (phone, former, again)] == [True, False, True]


async def test_a_sign_in_replaces_also_what_another_tab_switched_to_meanwhile(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    order = msgspec.structs.replace(an_order(), replaces=(alice.id,))
    new = await browser.accounts.switch(bob, alice.id, by=BY)

    issued = await browser.deployment.services.issuing.issue(order)

    assert [await browser.lives(each) for each in (alice, new, bob, issued.session)] == [
        False,
        False,
        True,
        True,
    ]


async def test_an_older_cookie_does_not_lead_to_what_its_browser_did_since(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    browser.deployment.clock.advance(minutes=5)
    new = await browser.switch(alice)
    browser.deployment.clock.advance(minutes=2)

    assert await browser.accounts.list_others(bob) == []
    with pytest.raises(NotFound, match="account_unknown"):
        await browser.accounts.switch(bob, new.id, by=BY)
    assert await browser.others() == [BOB]


async def test_an_older_cookie_can_still_sign_the_browser_out(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    browser.deployment.clock.advance(minutes=5)
    new = await browser.switch(alice)
    browser.deployment.clock.advance(minutes=2)

    await browser.accounts.sign_out(bob, reason="signed_out", by=BY)

    assert not await browser.lives(new)


async def test_an_older_cookie_signs_out_accounts_that_were_switched_to_often(browser: Browsing) -> None:
    bob = await browser.sign_in(BOB)
    carol = await browser.sign_in(CAROL)
    old = await browser.sign_in(ALICE)
    for _ in range(10):
        bob = await browser.switch(bob)
        carol = await browser.switch(carol)

    await browser.accounts.sign_out(old, reason="signed_out", by=BY)

    assert [await browser.lives(each) for each in (old, bob, carol)] == [False, False, False]


async def test_what_tabs_did_at_once_is_still_known_an_hour_later(browser: Browsing) -> None:
    alice, carol = await browser.sign_in(ALICE), await browser.sign_in(CAROL)
    bob = await browser.sign_in(BOB)
    switches = [browser.accounts.switch(bob, target.id, by=BY) for target in (alice, carol)]
    latest = await asyncio.gather(*switches)
    browser.deployment.clock.advance(hours=1)

    for browser.session in latest:
        assert {browser.current.subject, *await browser.others()} == {ALICE, BOB, CAROL}


async def test_a_fresh_list_leads_to_whoever_signed_in_anew(browser: Browsing) -> None:
    await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    again = await browser.sign_in(ALICE)

    assert [each.id for each in await browser.accounts.list_others(bob)] == [again.id]


@pytest.mark.parametrize("cookie", ["", "x", "sdb1_" + "A" * 86, "session:1:00", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_cookie_that_means_nothing_joins_nothing(browser: Browsing, cookie: str) -> None:
    issued = await browser.accounts.sign_in(an_order(), cookie)

    assert issued.session.browser == Browser()


async def test_another_kind_of_token_joins_nothing(browser: Browsing) -> None:
    session = await browser.deployment.issue(BOB)
    issued = await browser.accounts.sign_in(an_order(), browser.deployment.access_token(session))

    assert issued.session.browser == Browser()


async def test_a_cookie_of_another_project_joins_nothing(browser: Browsing) -> None:
    project = await browser.deployment.services.projects.add("other", by=Initiator("operator"))
    await browser.sign_in(BOB)

    issued = await browser.accounts.sign_in(an_order(project=project.id), browser.cookie())

    assert issued.session.browser == Browser()
    assert await browser.lives(browser.current)


async def test_an_ended_session_leads_to_no_accounts_any_more(browser: Browsing) -> None:
    await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    await browser.deployment.services.sessions.revoke(bob, reason="stolen", by=Initiator("operator"))

    await browser.sign_in(CAROL)

    assert await browser.others() == []


async def test_a_switch_gives_the_account_a_new_id_and_keeps_the_one_that_is_left(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    new = await browser.switch(alice)

    assert (new.subject, new.id != alice.id, new.nonce != alice.nonce) == (ALICE, True, True)
    assert [await browser.lives(each) for each in (alice, bob, new)] == [False, True, True]
    assert await browser.others() == [BOB]
    assert (await events_of(browser, alice.id))[-2:] == [EventType.SESSION_ISSUED, EventType.SESSION_SWITCHED]
    assert await events_of(browser, new.id) == [EventType.SESSION_ISSUED]


async def test_a_switch_lengthens_no_limit(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE, remember=False)
    await browser.sign_in(BOB)
    browser.deployment.clock.advance(days=3)

    new = await browser.switch(alice)

    assert (new.expires_at, new.authenticated_at) == (alice.expires_at, alice.authenticated_at)
    assert new.browser is not None
    assert not new.browser.remember


async def test_there_and_back_and_on_keeps_every_account(browser: Browsing) -> None:
    for subject in (ALICE, BOB, CAROL):
        await browser.sign_in(subject)

    for subject in (ALICE, BOB, ALICE, CAROL, BOB):
        target = next(
            each for each in await browser.accounts.list_others(browser.current) if each.subject == subject
        )
        await browser.switch(target)

    assert browser.current.subject == BOB
    assert await browser.others() == [CAROL, ALICE]
    living = await browser.deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)
    assert len(living) == 1


async def test_only_accounts_of_the_own_browser_can_be_switched_to_or_ended(browser: Browsing) -> None:
    elsewhere = Browsing(browser.deployment)
    foreign = await elsewhere.sign_in(CAROL)
    bob = await browser.sign_in(BOB)

    for target in (foreign, bob):
        with pytest.raises(NotFound, match="account_unknown"):
            await browser.accounts.switch(browser.current, target.id, by=BY)
        with pytest.raises(NotFound, match="account_unknown"):
            await browser.accounts.end(browser.current, target.id, by=BY)

    assert await browser.lives(foreign)
    assert await browser.lives(bob)


async def test_an_account_that_is_left_does_not_know_who_came_later(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    with pytest.raises(NotFound):
        await browser.accounts.switch(alice, bob.id, by=BY)


async def test_an_account_that_ended_cannot_be_switched_to(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    await browser.sign_in(BOB)
    await browser.deployment.services.sessions.revoke(alice, reason="stolen", by=Initiator("operator"))

    with pytest.raises(StateConflict, match="account_ended"):
        await browser.switch(alice)

    assert await browser.others() == []


async def test_a_session_that_was_switched_to_ends_with_all_of_its_subjects(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    await browser.sign_in(BOB)
    new = await browser.switch(alice)
    await browser.deployment.services.subjects.revoke_sessions(
        DEFAULT_PROJECT, ALICE, by=Initiator("operator")
    )

    assert not await browser.lives(new)


async def test_two_tabs_that_switch_to_one_account_leave_one_session_of_it(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    answers = await asyncio.gather(
        *(browser.accounts.switch(bob, alice.id, by=BY) for _ in range(8)), return_exceptions=True
    )

    new = [each for each in answers if isinstance(each, Session)]
    refused = {each.code for each in answers if isinstance(each, StateConflict)}
    assert (len(new), refused) == (1, {"account_ended"})
    assert len(await browser.deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)) == 1


async def test_two_tabs_that_switch_to_different_accounts_lose_none_of_them(browser: Browsing) -> None:
    alice, carol = await browser.sign_in(ALICE), await browser.sign_in(CAROL)
    bob = await browser.sign_in(BOB)

    switches = [browser.accounts.switch(bob, target.id, by=BY) for target in (alice, carol)]

    for latest in await asyncio.gather(*switches):  # whichever answer comes last to the browser
        browser.session = latest
        assert {browser.current.subject, *await browser.others()} == {ALICE, BOB, CAROL}


async def test_signing_out_ends_every_account_of_the_browser_and_nothing_else(browser: Browsing) -> None:
    elsewhere = Browsing(browser.deployment)
    phone = await elsewhere.sign_in(ALICE)
    mine = [await browser.sign_in(subject) for subject in (ALICE, BOB, CAROL)]

    await browser.sign_out()

    assert [await browser.lives(each) for each in mine] == [False, False, False]
    assert await browser.lives(phone)


async def test_what_another_tab_switched_to_meanwhile_is_signed_out_too() -> None:
    store = Interrupted(await open_store("memory://", role=Role.SERVER))
    browser = Browsing(await TestDeployment.born(store=store))
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    switched: list[Session] = []

    async def switch_in_another_tab() -> None:
        switched.append(await browser.accounts.switch(bob, alice.id, by=BY))

    store.before_revoke = switch_in_another_tab
    await browser.sign_out()

    assert len(switched) == 1
    assert [await browser.lives(each) for each in (alice, bob, *switched)] == [False, False, False]


async def test_another_account_can_be_signed_out_alone(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    await browser.accounts.end(browser.current, alice.id, by=BY)
    await browser.accounts.end(browser.current, alice.id, by=BY)

    assert not await browser.lives(alice)
    assert await browser.lives(bob)
    assert (await events_of(browser, alice.id)).count(EventType.SESSION_REVOKED) == 1


async def test_an_account_that_another_tab_switched_to_is_signed_out_all_the_same(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)
    new = await browser.accounts.switch(bob, alice.id, by=BY)

    await browser.accounts.end(bob, alice.id, by=BY)

    assert [await browser.lives(each) for each in (alice, new, bob)] == [False, False, True]


async def test_whoever_leaves_an_impersonation_ends_it(browser: Browsing) -> None:
    support = await browser.sign_in(CAROL)
    acting = await browser.sign_in(BOB, actor=Actor(name="carol", reason="ticket 7"))

    back = await browser.switch(support)

    assert not await browser.lives(acting)
    assert (back.subject, await browser.others()) == (CAROL, [])


async def test_sign_outs_are_told_by_account(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    await browser.sign_out()

    rows = [await browser.deployment.services.sessions.get(DEFAULT_PROJECT, each.id) for each in (alice, bob)]
    assert [row.session.revoked_reason for row in rows] == ["signed_out", "signed_out"]
