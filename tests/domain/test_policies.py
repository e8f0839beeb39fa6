"""Policies: presets bound what a project may allow (NIST SP 800-63B-4 section 5.2)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.errors import Misconfigured, StateConflict
from sessiond.domain.limits import make_room
from sessiond.domain.policies import (
    CEILINGS,
    LONGEST_GRACE,
    LONGEST_JUSTIFICATION,
    LONGEST_TIMEOUT,
    OnLimit,
    Policy,
    PolicyFault,
    Preset,
    check,
    policy_faults,
    preset_policy,
    under,
)
from sessiond.domain.sessions import Actor
from tests.domain.samples import NOW, a_session

BOUND_PRESETS = tuple(CEILINGS)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)
ANYTHING = Policy(preset=Preset.CUSTOM, justification="a kiosk in a museum")


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


def test_every_fault_of_a_policy_is_told_at_once() -> None:
    policy = Policy(
        absolute_timeout=LONGEST_TIMEOUT + SECOND,
        idle_timeout=SECOND - MICROSECOND,
        access_token_lifetime=LONGEST_TIMEOUT + 2 * SECOND,
        grace=-SECOND,
        max_sessions=0,
    )

    assert policy_faults(policy) == [
        PolicyFault("idle_timeout", "must be at least 1s"),
        PolicyFault("absolute_timeout", "must be at most 3660d"),
        PolicyFault("access_token_lifetime", "must not be above policy.absolute_timeout"),
        PolicyFault("grace", "must lie between 0s and 300s"),
        PolicyFault("max_sessions", "must be at least 1"),
        PolicyFault(
            "absolute_timeout",
            "is above what preset aal1 allows; shorten it, or choose preset custom with a justification",
        ),
    ]


@pytest.mark.parametrize("name", ["absolute_timeout", "idle_timeout", "access_token_lifetime"])
def test_no_time_of_a_policy_is_shorter_than_a_second(name: str) -> None:
    shortest = Policy(absolute_timeout=SECOND, idle_timeout=SECOND, access_token_lifetime=SECOND)

    assert check(shortest) is shortest
    with pytest.raises(Misconfigured, match=f"^policy.{name} must be at least 1s$"):
        check(msgspec.structs.replace(shortest, **{name: SECOND - MICROSECOND}))


@pytest.mark.parametrize(
    "widest",
    [
        msgspec.structs.replace(
            ANYTHING, absolute_timeout=LONGEST_TIMEOUT, access_token_lifetime=LONGEST_TIMEOUT
        ),
        Policy(grace=LONGEST_GRACE),
        Policy(grace=timedelta(0)),
        Policy(max_sessions=1),
        Policy(justification="y" * LONGEST_JUSTIFICATION),
    ],
    ids=["times", "longest grace", "no grace", "one session", "justification"],
)
def test_every_bound_of_a_policy_lies_within_it(widest: Policy) -> None:
    assert policy_faults(widest) == []


@pytest.mark.parametrize("text", ["y" * (LONGEST_JUSTIFICATION + 1), "two\nlines"])
@pytest.mark.parametrize("preset", Preset)
def test_a_justification_is_short_and_shown_to_others_whatever_it_justifies(
    preset: Preset, text: str
) -> None:
    policy = msgspec.structs.replace(preset_policy(preset), justification=text)

    assert policy_faults(policy) == [PolicyFault("justification", "is at most 1000 printable characters")]


def test_what_custom_lacks_is_told_in_full() -> None:
    assert policy_faults(Policy(preset=Preset.CUSTOM)) == [
        PolicyFault("justification", "is needed by preset custom: say why NIST's limits do not apply")
    ]


def test_times_that_go_beyond_a_preset_are_told_each() -> None:
    faults = policy_faults(Policy(preset=Preset.AAL2))

    assert [fault.member for fault in faults] == ["absolute_timeout", "idle_timeout"]
    assert all("preset aal2 allows" in fault.detail for fault in faults)


def test_two_holders_of_a_token_are_answered_for_ten_seconds_but_never_beyond_the_grace() -> None:
    assert Policy(grace=timedelta(seconds=300)).overlap == timedelta(seconds=10)
    assert Policy(grace=timedelta(seconds=3)).overlap == timedelta(seconds=3)


def test_a_jwt_lives_a_day_at_most() -> None:
    assert Policy(access_token_lifetime=timedelta(days=2)).jwt_lifetime == timedelta(days=1)
    assert Policy(access_token_lifetime=SECOND).jwt_lifetime == SECOND


def test_under_a_preset_a_policy_has_its_times_and_keeps_the_rest() -> None:
    before = Policy(grace=SECOND, max_sessions=3, on_limit=OnLimit.DENY)

    assert under(before, Preset.AAL2) == Policy(
        preset=Preset.AAL2,
        absolute_timeout=timedelta(hours=24),
        idle_timeout=timedelta(hours=1),
        grace=SECOND,
        max_sessions=3,
        on_limit=OnLimit.DENY,
    )


def test_no_limit_evicts_nobody() -> None:
    assert make_room([a_session()] * 100, Policy()) == ()


@pytest.mark.parametrize(("on_limit", "leaves"), [(OnLimit.EVICT_OLDEST, 0), (OnLimit.EVICT_IDLE, 2)])
def test_a_full_subject_makes_room_for_one(on_limit: OnLimit, leaves: int) -> None:
    live = [
        a_session(id=bytes([number] * 16), created_at=NOW + number, last_seen_at=NOW - number)
        for number in range(3)
    ]

    assert make_room(live, Policy(max_sessions=3, on_limit=on_limit)) == [live[leaves]]


def test_a_subject_far_above_a_new_limit_loses_as_many_as_it_takes() -> None:
    live = [a_session(id=bytes([number] * 16), created_at=NOW + number) for number in range(5)]

    assert make_room(live[::-1], Policy(max_sessions=2)) == live[:4]


@pytest.mark.parametrize("on_limit", OnLimit)
def test_one_below_the_limit_nobody_leaves(on_limit: OnLimit) -> None:
    assert make_room([a_session()] * 2, Policy(max_sessions=3, on_limit=on_limit)) == ()


def test_a_session_in_which_someone_else_acts_takes_no_place_and_keeps_its_own() -> None:
    acted, own = a_session(actor=Actor(name="ops", reason="ticket"), created_at=0), a_session()

    assert make_room([acted], Policy(max_sessions=1)) == ()
    assert make_room([acted, own], Policy(max_sessions=1)) == [own]


def test_a_policy_that_denies_refuses_the_new_one() -> None:
    with pytest.raises(StateConflict, match="already has 1 sessions") as refused:
        make_room([a_session()], Policy(max_sessions=1, on_limit=OnLimit.DENY))

    assert refused.value.code == "session_limit_reached"
