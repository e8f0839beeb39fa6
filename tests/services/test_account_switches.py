"""Switching between the accounts of a browser, also in several tabs at once: who stays, and what each cookie knows."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from sessiond.domain.errors import NotFound, StateConflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.domain.sessions import Actor, Session
from tests.deployment import ALICE, BY
from tests.services.browsing import BOB, CAROL, Browsing, an_order, events_of


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


async def test_what_tabs_did_at_once_is_still_known_an_hour_later(browser: Browsing) -> None:
    alice, carol = await browser.sign_in(ALICE), await browser.sign_in(CAROL)
    bob = await browser.sign_in(BOB)
    switches = [browser.accounts.switch(bob, target.id, by=BY) for target in (alice, carol)]
    latest = await asyncio.gather(*switches)
    browser.deployment.clock.advance(hours=1)

    for browser.session in latest:
        assert {browser.current.subject, *await browser.others()} == {ALICE, BOB, CAROL}


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


async def test_whoever_leaves_an_impersonation_ends_it(browser: Browsing) -> None:
    support = await browser.sign_in(CAROL)
    acting = await browser.sign_in(BOB, actor=Actor(name="carol", reason="ticket 7"))

    back = await browser.switch(support)

    assert not await browser.lives(acting)
    assert (back.subject, await browser.others()) == (CAROL, [])
