"""Which sessions step up, and what one is afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessiond.domain.errors import Refusal
from sessiond.domain.impersonation import IMPERSONATED
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Actor, Browser, Session, SessionKind
from sessiond.domain.step_up import (
    AUTHENTICATION_OUTDATED,
    NOT_STEPPABLE,
    Reauthentication,
    check_steppable,
    replaced,
    step_up_facts,
    stepped_up,
)
from tests.domain.samples import NOW, a_session

HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
POLICY = Policy(absolute_timeout=2 * HOUR)


def after(former: Session, authentication: Reauthentication) -> Session:
    newborn = former.reborn(id=former.id, nonce=b"m" * 16, kid=8, now=NOW)
    return stepped_up(former, newborn, authentication, policy=POLICY)


@pytest.mark.parametrize("kind", [SessionKind.TOKENS, SessionKind.BROWSER, SessionKind.DEVICE])
def test_a_session_of_the_native_api_or_of_a_device_steps_up(kind: SessionKind) -> None:
    session = a_session(session_kind=kind)

    check_steppable(session, Reauthentication(at=NOW))
    check_steppable(session, Reauthentication(at=session.authenticated_at))


@pytest.mark.parametrize(
    ("session", "at", "refusal", "code"),
    [
        (a_session(actor=Actor(name="ops", reason="ticket")), NOW, IMPERSONATED, "impersonated"),
        (a_session(session_kind=SessionKind.PIN), NOW, NOT_STEPPABLE, "session_not_steppable"),
        (a_session(session_kind=SessionKind.STACK), NOW, NOT_STEPPABLE, "session_not_steppable"),
        (a_session(session_kind=SessionKind.OPERATOR), NOW, NOT_STEPPABLE, "session_not_steppable"),
        (a_session(authenticated_at=NOW), NOW - 1, AUTHENTICATION_OUTDATED, "authentication_outdated"),
    ],
    ids=["impersonated", "PIN", "Stack", "operator", "older than what is known"],
)
def test_no_other_session_steps_up(session: Session, at: int, refusal: Refusal, code: str) -> None:
    with pytest.raises(type(refusal)) as refused:
        check_steppable(session, Reauthentication(at=at))

    assert refused.value is refusal
    assert refused.value.code == code


def test_what_was_not_said_anew_stays() -> None:
    former = a_session(acr="silver", amr=("pwd",), expires_at=NOW + 5)

    new = after(former, Reauthentication(at=NOW))

    assert (new.acr, new.amr, new.expires_at, new.authenticated_at) == ("silver", ("pwd",), NOW + 5, NOW)


def test_what_was_said_anew_counts_even_where_it_is_nothing() -> None:
    former = a_session(acr="silver", amr=("pwd",))

    assert after(former, Reauthentication(at=NOW, acr="gold", amr=("hwk",))).acr == "gold"
    assert after(former, Reauthentication(at=NOW, acr="gold", amr=("hwk",))).amr == ("hwk",)
    assert after(former, Reauthentication(at=NOW, acr=None, amr=())).acr is None
    assert after(former, Reauthentication(at=NOW, acr=None, amr=())).amr == ()


@pytest.mark.parametrize(("asked", "lives"), [(HOUR, HOUR_MS), (3 * HOUR, 2 * HOUR_MS)])
def test_a_new_absolute_period_is_never_longer_than_the_policys(asked: timedelta, lives: int) -> None:
    new = after(a_session(expires_at=NOW + 5), Reauthentication(at=NOW - 7, absolute_timeout=asked))

    assert new.expires_at == NOW + lives


def test_a_devices_session_gets_tokens_that_rotate_and_no_device_leads_to_it() -> None:
    device = a_session(session_kind=SessionKind.DEVICE, rotates=False, linked_from="device")

    new = after(device, Reauthentication(at=NOW))

    assert (new.session_kind, new.rotates, new.linked_from) == (SessionKind.TOKENS, True, None)


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("kind", [SessionKind.TOKENS, SessionKind.BROWSER])
def test_any_other_stays_what_it_was(kind: SessionKind, rotates: bool) -> None:
    new = after(a_session(session_kind=kind, rotates=rotates), Reauthentication(at=NOW))

    assert (new.session_kind, new.rotates) == (kind, rotates)


def test_the_former_one_ends_and_in_a_browser_says_what_took_its_place() -> None:
    successor = a_session(acr="gold", amr=("pwd", "otp"))

    plain = replaced(a_session(), successor, now=NOW)
    browsers = replaced(a_session(browser=Browser()), successor, now=NOW)

    assert (plain.revoked_at, plain.revoked_reason, plain.browser) == (NOW, "stepped_up", None)
    assert (browsers.revoked_at, browsers.revoked_reason) == (NOW, "stepped_up")
    assert browsers.browser == Browser(successor=successor.id)
    assert step_up_facts(successor) == {"acr": "gold", "amr": "pwd otp"}
