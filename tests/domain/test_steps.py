"""Every refusal of a token has its step."""

from __future__ import annotations

import pytest

from sessiond.domain.endings import Ending
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.sessions import INVALID
from sessiond.domain.steps import KEY_UNKNOWN, NOT_THE_SESSIONS, ROW_ABSENT, UNREADABLE, Step, step_of


@pytest.mark.parametrize("why", Ending)
def test_every_ending_has_its_step(why: Ending) -> None:
    own = {
        Ending.REVOKED: Step.REVOKED,
        Ending.ABSOLUTE_TIMEOUT: Step.ABSOLUTE,
        Ending.IDLE_TIMEOUT: Step.IDLE,
    }

    assert step_of(Unauthenticated(why.value, "")) is own.get(why, Step.EPOCHS)


def test_the_constant_refusal_tells_its_holder_nothing_of_the_step() -> None:
    refusals = (UNREADABLE, KEY_UNKNOWN, INVALID, ROW_ABSENT, NOT_THE_SESSIONS)

    assert {(each.code, each.detail) for each in refusals} == {(INVALID.code, INVALID.detail)}
    assert not any(each.data for each in refusals)
    assert [step_of(each) for each in refusals] == [
        Step.TEXT,
        Step.KEY,
        Step.SIGNATURE,
        Step.ROW,
        Step.NONCE,
    ]
