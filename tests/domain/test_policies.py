"""Policies: presets bound what a project may allow (NIST SP 800-63B-4 section 5.2)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.errors import Misconfigured, StateConflict
from sessiond.domain.limits import make_room
from sessiond.domain.policies import CEILINGS, OnLimit, Policy, Preset, check, preset_policy
from tests.domain.samples import NOW, a_session

BOUND_PRESETS = tuple(CEILINGS)


@pytest.mark.parametrize(
    ("preset", "absolute", "idle"),
    [
        (Preset.AAL1, timedelta(days=30), None),
        (Preset.AAL2, timedelta(hours=24), timedelta(hours=1)),
        (Preset.AAL3, timedelta(hours=12), timedelta(minutes=15)),
    ],
)
def test_the_presets_are_nists_limits_to_the_second(
    preset: Preset, absolute: timedelta, idle: timedelta | None
) -> None:
    policy, second = preset_policy(preset), timedelta(seconds=1)

    assert (policy.absolute_timeout, policy.idle_timeout) == (absolute, idle)
    looser = [msgspec.structs.replace(policy, absolute_timeout=absolute + second)]
    looser += [] if idle is None else [msgspec.structs.replace(policy, idle_timeout=idle + second)]
    for limits in looser:
        with pytest.raises(Misconfigured):
            check(limits)
        custom = msgspec.structs.replace(limits, preset=Preset.CUSTOM, justification="a kiosk in a museum")
        assert check(custom) == custom


@pytest.mark.parametrize("preset", BOUND_PRESETS)
def test_a_preset_at_its_upper_limits_is_accepted(preset: Preset) -> None:
    assert check(preset_policy(preset)).preset is preset


@pytest.mark.parametrize("preset", BOUND_PRESETS)
def test_a_longer_absolute_limit_than_the_presets_is_refused(preset: Preset) -> None:
    policy = preset_policy(preset)
    longer = msgspec.structs.replace(policy, absolute_timeout=policy.absolute_timeout + timedelta(seconds=1))

    with pytest.raises(Misconfigured, match="absolute_timeout"):
        check(longer)


@pytest.mark.parametrize("preset", [Preset.AAL2, Preset.AAL3])
@pytest.mark.parametrize("idle", [None, timedelta(hours=2)])
def test_a_looser_idle_limit_than_the_presets_is_refused(preset: Preset, idle: timedelta | None) -> None:
    with pytest.raises(Misconfigured, match="idle_timeout"):
        check(msgspec.structs.replace(preset_policy(preset), idle_timeout=idle))


def test_no_limit_is_longer_than_a_token_can_say() -> None:
    century = timedelta(days=36_500)

    with pytest.raises(Misconfigured, match="absolute_timeout"):
        check(Policy(preset=Preset.CUSTOM, absolute_timeout=century, justification="kiosk"))


@pytest.mark.parametrize("justification", [None, "", "  "])
def test_custom_limits_need_a_justification(justification: str | None) -> None:
    year = timedelta(days=365)

    with pytest.raises(Misconfigured, match="justification"):
        check(Policy(preset=Preset.CUSTOM, absolute_timeout=year, justification=justification))
    assert (
        check(Policy(preset=Preset.CUSTOM, absolute_timeout=year, justification="kiosk")).absolute_timeout
        == year
    )


@pytest.mark.parametrize("seconds", [-1, 301])
def test_the_grace_lies_between_0_and_300_seconds(seconds: int) -> None:
    with pytest.raises(Misconfigured, match="grace"):
        check(Policy(grace=timedelta(seconds=seconds)))


def test_no_limit_evicts_nobody() -> None:
    assert make_room([a_session()] * 100, Policy()) == ()


@pytest.mark.parametrize(("on_limit", "leaves"), [(OnLimit.EVICT_OLDEST, 0), (OnLimit.EVICT_IDLE, 2)])
def test_a_full_subject_makes_room_for_one(on_limit: OnLimit, leaves: int) -> None:
    live = [
        a_session(id=bytes([number] * 16), created_at=NOW + number, last_seen_at=NOW - number)
        for number in range(3)
    ]

    assert make_room(live, Policy(max_sessions=3, on_limit=on_limit)) == [live[leaves]]


def test_a_policy_that_denies_refuses_the_new_one() -> None:
    with pytest.raises(StateConflict):
        make_room([a_session()], Policy(max_sessions=1, on_limit=OnLimit.DENY))
