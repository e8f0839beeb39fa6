"""Several accounts in one browser: who signs in beside whom, and which cookie joins nothing."""

from __future__ import annotations

import pytest

from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Browser
from tests.deployment import ALICE, TestDeployment
from tests.services.browsing import BOB, CAROL, Browsing, an_order


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
