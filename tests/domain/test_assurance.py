"""What a resource may ask of a session's assurance."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessiond.domain.assurance import (
    CLOCKS_APART,
    InsufficientAuthentication,
    Requirement,
    authentication_fault,
    check_assurance,
)
from sessiond.domain.instants import later
from tests.domain.samples import NOW, a_session

MINUTE = timedelta(minutes=1)


def falls_short(requirement: Requirement, **members: object) -> bool:
    try:
        check_assurance(a_session(**members), requirement, NOW)
    except InsufficientAuthentication:
        return True
    return False


def test_nothing_asked_is_nothing_lacking() -> None:
    assert not falls_short(Requirement(), acr=None, amr=(), authenticated_at=0)


@pytest.mark.parametrize(("acr", "short"), [("gold", False), ("silver", False), ("lead", True), (None, True)])
def test_one_of_the_classes_is_enough(acr: str | None, short: bool) -> None:
    assert falls_short(Requirement(acr=("gold", "silver")), acr=acr) is short


@pytest.mark.parametrize(("amr", "short"), [(("otp", "pwd", "hwk"), False), (("pwd",), True), ((), True)])
def test_all_of_the_methods_are_needed(amr: tuple[str, ...], short: bool) -> None:
    assert falls_short(Requirement(amr=("pwd", "otp")), amr=amr) is short


@pytest.mark.parametrize(("age_ms", "short"), [(0, False), (60_000, False), (60_001, True)])
def test_freshness_counts_from_the_last_authentication(age_ms: int, short: bool) -> None:
    assert falls_short(Requirement(max_age=MINUTE), authenticated_at=NOW - age_ms, created_at=NOW) is short


@pytest.mark.parametrize(
    ("requirement", "data"),
    [
        (Requirement(acr=("gold",)), {"acr_values": "gold"}),
        (Requirement(amr=("otp", "pwd")), {"amr_values": "otp pwd"}),
        (Requirement(max_age=MINUTE), {"max_age": 60}),
    ],
)
def test_the_refusal_names_nothing_that_was_not_asked(
    requirement: Requirement, data: dict[str, object]
) -> None:
    with pytest.raises(InsufficientAuthentication) as refused:
        check_assurance(a_session(authenticated_at=0), requirement, NOW)

    assert (refused.value.code, refused.value.data) == ("insufficient_user_authentication", data)


def test_the_refusal_names_all_that_was_asked_and_says_what_is_lacking() -> None:
    requirement = Requirement(acr=("gold", "silver"), amr=("otp",), max_age=MINUTE)

    with pytest.raises(InsufficientAuthentication) as refused:
        check_assurance(a_session(acr="gold", amr=(), authenticated_at=0), requirement, NOW)

    assert refused.value.data == {"acr_values": "gold silver", "amr_values": "otp", "max_age": 60}
    assert refused.value.detail == (
        "Another authentication method is required; a more recent authentication is required."
    )


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        (None, "is no RFC 3339 date-time"),
        (-1, "lies before 1970"),
        (0, None),
        (NOW, None),
        (later(NOW, CLOCKS_APART), None),
        (later(NOW, CLOCKS_APART) + 1, "lies in the future"),
    ],
)
def test_who_authenticated_did_so_since_1970_and_within_a_clocks_error(
    at: int | None, fault: str | None
) -> None:
    assert authentication_fault(at, NOW) == fault
