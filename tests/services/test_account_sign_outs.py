"""Signing out of a browser with several accounts: all of them, one alone, also what another tab did meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store
from tests.deployment import ALICE, BY, TestDeployment
from tests.services.browsing import BOB, CAROL, Browsing, events_of


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


async def test_sign_outs_are_told_by_account(browser: Browsing) -> None:
    alice = await browser.sign_in(ALICE)
    bob = await browser.sign_in(BOB)

    await browser.sign_out()

    rows = [await browser.deployment.services.sessions.get(DEFAULT_PROJECT, each.id) for each in (alice, bob)]
    assert [row.session.revoked_reason for row in rows] == ["signed_out", "signed_out"]
