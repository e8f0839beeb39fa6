"""Several accounts in one browser: which there are, and what a switch makes of a session."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.accounts import (
    MOST_ACCOUNTS,
    REPLACED,
    TOO_MANY_ACCOUNTS,
    accounts_of,
    beside,
    ended_for,
    is_account,
    join,
    leads_on,
    successor_of,
    switched,
)
from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import SessionId, SubjectId, mint_id
from sessiond.domain.sessions import Actor, Browser, Session, SessionKind
from tests.domain.samples import ALICE, NOW, PARTITION, a_session, a_standing

BOB = SubjectId("bob")
ACTING = Actor(name="support", reason="ticket 7")


def an_id(number: int) -> SessionId:
    return mint_id(now=NOW, partition=PARTITION, entropy=number.to_bytes(8))


def an_account(number: int, subject: SubjectId = ALICE, **changes: object) -> Session:
    account = a_session(
        id=an_id(number), subject=subject, session_kind=SessionKind.BROWSER, browser=Browser()
    )
    return msgspec.structs.replace(account, **changes)


def successor(former: Session, *accounts: SessionId) -> Session:
    return switched(former, accounts, id=an_id(99), nonce=b"m" * 16, kid=8, now=NOW)[1]


def test_an_account_lives_in_a_cookie_and_nobody_acts_in_it() -> None:
    assert is_account(a_standing(an_account(1)), NOW)
    assert not is_account(a_standing(an_account(1, actor=ACTING)), NOW)
    assert not is_account(a_standing(an_account(1, session_kind=SessionKind.TOKENS)), NOW)
    assert not is_account(a_standing(an_account(1, expires_at=NOW)), NOW)


def test_who_signs_in_beside_others_keeps_them() -> None:
    present = [an_account(1, BOB), an_account(2, SubjectId("carol"))]

    joining = join(present, ALICE, impersonated=False)

    assert (joining.accounts, joining.replaced) == ((an_id(1), an_id(2)), ())


def test_a_subject_has_one_session_in_a_browser() -> None:
    present = [an_account(1, BOB), an_account(2, ALICE)]

    joining = join(present, ALICE, impersonated=False)

    assert (joining.accounts, joining.replaced) == ((an_id(1),), (an_id(2),))


def test_an_impersonation_ends_with_the_next_sign_in() -> None:
    present = [an_account(1, BOB, actor=ACTING), an_account(2, SubjectId("support"))]

    joining = join(present, ALICE, impersonated=False)

    assert (joining.accounts, joining.replaced, joining.left) == ((an_id(2),), (), [present[0]])


def test_an_impersonation_does_not_replace_the_subjects_own_session() -> None:
    present = [an_account(1, SubjectId("support")), an_account(2, BOB)]

    assert join(present, BOB, impersonated=True).accounts == (an_id(1), an_id(2))


def test_a_browser_holds_so_many_accounts_and_no_more() -> None:
    present = [an_account(number, SubjectId(f"user{number}")) for number in range(MOST_ACCOUNTS)]

    assert len(join(present[1:], ALICE, impersonated=False).accounts) == MOST_ACCOUNTS - 1
    assert len(join(present, SubjectId("user3"), impersonated=False).accounts) == MOST_ACCOUNTS - 1
    with pytest.raises(StateConflict) as refused:
        join(present, ALICE, impersonated=False)
    assert refused.value is TOO_MANY_ACCOUNTS


def test_the_account_that_is_left_comes_first_beside_the_others() -> None:
    left, target, other = an_account(1), an_account(2, BOB), an_account(3, SubjectId("carol"))

    assert beside(target, left, [target, other]) == (left.id, other.id)


def test_an_impersonation_is_left_for_good() -> None:
    left, target, other = an_account(1, BOB, actor=ACTING), an_account(2), an_account(3)

    assert beside(target, left, [target, other]) == (other.id,)


def test_a_switch_makes_a_new_session_of_the_same_sign_in_and_limits() -> None:
    former = an_account(
        1,
        authenticated_at=NOW - 500,
        expires_at=NOW + 700,
        idle_timeout_ms=9000,
        acr="gold",
        amr=("pwd",),
        metadata={"plan": "pro"},
        browser=Browser(remember=False, accounts=(an_id(5),)),
        version=4,
    )

    new = successor(former, an_id(2))

    changed = {name for name, value in msgspec.structs.asdict(new).items() if value != getattr(former, name)}
    assert changed == {"version", "id", "created_at", "last_seen_at", "nonce", "kid", "rotated_at", "browser"}
    assert (new.id, new.version, new.nonce, new.kid, new.created_at) == (an_id(99), 1, b"m" * 16, 8, NOW)
    assert new.browser == Browser(remember=False, accounts=(an_id(2),))


@pytest.mark.parametrize("remember", [True, False])
def test_a_cookie_that_outlives_its_browser_goes_on_to(remember: bool) -> None:
    browser = successor(an_account(1, browser=Browser(remember=remember))).browser

    assert browser is not None
    assert browser.remember is remember


def test_a_switch_ends_the_former_session_and_says_what_took_its_place() -> None:
    former = an_account(1)

    ended, new = switched(former, (), id=an_id(99), nonce=b"m" * 16, kid=8, now=NOW)

    assert (ended.revoked_at, ended.revoked_reason, successor_of(ended)) == (NOW, "switched", new.id)
    assert ended.version == former.version + 1
    assert not is_account(a_standing(ended), NOW)


@pytest.mark.parametrize(
    ("born", "ended", "now", "leads"),
    [
        (0, 10, 1000, True),
        (0, 60, 1000, True),
        (0, 61, 1000, False),
        (0, 70, 129, True),
        (0, 70, 130, False),
        (50, 10, 1000, True),
    ],
)
def test_a_list_leads_on_while_tabs_settle(born: int, ended: int, now: int, leads: bool) -> None:
    holder = an_account(1, created_at=NOW + born * 1000)
    gone = an_account(2, BOB, revoked_at=NOW + ended * 1000)

    assert leads_on(gone, holder, NOW + now * 1000) is leads


def test_what_took_the_place_of_a_session_that_ended_before_is_named_too() -> None:
    revoked = an_account(1).revoked(now=NOW - 5, reason="revoked")

    ended = ended_for(revoked, an_account(2), reason="stepped_up", now=NOW)

    assert (ended.revoked_reason, successor_of(ended)) == ("revoked", an_id(2))


def test_a_session_that_has_not_ended_leads_nowhere() -> None:
    assert not leads_on(an_account(2, BOB), an_account(1), NOW)


def test_a_session_of_before_there_were_accounts_is_switched_like_any_other() -> None:
    former = an_account(1, browser=None)

    ended, new = switched(former, (an_id(2),), id=an_id(99), nonce=b"m" * 16, kid=8, now=NOW)

    assert accounts_of(former) == ()
    assert successor_of(former) is None
    assert new.browser == Browser(remember=True, accounts=(an_id(2),))
    assert ended.browser == Browser(successor=new.id)


def test_what_ends_for_another_keeps_what_it_knew_of_its_browser() -> None:
    former = an_account(1, browser=Browser(remember=False, accounts=(an_id(5),)))

    ended = ended_for(former, an_account(2), reason=REPLACED, now=NOW)

    assert accounts_of(ended) == (an_id(5),)
    assert ended.browser == Browser(remember=False, accounts=(an_id(5),), successor=an_id(2))
    assert (ended.revoked_at, ended.revoked_reason) == (NOW, "replaced")
