"""The refresh decision table, a test per row (docs/tokens.md section 3)."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from sessiond.domain.instants import millis
from sessiond.domain.policies import Policy
from sessiond.domain.refresh import Verdict, decide, refresh_after
from tests.domain.samples import NOW, a_session

POLICY = Policy(grace=timedelta(seconds=30))
CURRENT = 5


def verdict(
    presented: int,
    *,
    age: float = 60,
    confirmed: bool = False,
    rotates: bool = True,
    ended: bool = False,
    policy: Policy = POLICY,
    stepped: bool = False,
) -> Verdict:
    """Return what *presented* means for a session at generation 5 that rotated *age* seconds ago."""
    session = a_session(
        generation=CURRENT,
        rotated_at=NOW - millis(timedelta(seconds=age)),
        seen_generation=CURRENT if confirmed else CURRENT - 1,
        rotates=rotates,
    )
    return decide(session, presented, ended=ended, now=NOW, policy=policy, stepped=stepped)


def test_the_current_token_of_a_rotating_session_is_rotated() -> None:
    assert verdict(CURRENT) is Verdict.ROTATED


def test_the_current_token_of_a_session_that_does_not_rotate_is_renewed() -> None:
    assert verdict(CURRENT, rotates=False) is Verdict.RENEWED


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("age", [0, 9.999, 10])
def test_the_previous_token_within_the_overlap_is_repeated_whoever_holds_it(
    age: float, *, confirmed: bool
) -> None:
    assert verdict(CURRENT - 1, age=age, confirmed=confirmed) is Verdict.REPEATED


@pytest.mark.parametrize("age", [10.001, 30])
def test_the_previous_token_within_the_grace_is_repeated_while_its_successor_was_never_seen(
    age: float,
) -> None:
    assert verdict(CURRENT - 1, age=age) is Verdict.REPEATED


@pytest.mark.parametrize("age", [10.001, 30])
def test_the_previous_token_within_the_grace_is_reuse_once_its_successor_was_seen(age: float) -> None:
    assert verdict(CURRENT - 1, age=age, confirmed=True) is Verdict.REUSED


def test_the_previous_token_after_the_grace_is_a_lost_rotation_while_its_successor_was_never_seen() -> None:
    assert verdict(CURRENT - 1, age=30.001) is Verdict.LOST


def test_the_previous_token_after_the_grace_is_reuse_once_its_successor_was_seen() -> None:
    assert verdict(CURRENT - 1, age=30.001, confirmed=True) is Verdict.REUSED


@pytest.mark.parametrize("age", [0, 60])
@pytest.mark.parametrize("presented", [CURRENT - 2, 0])
def test_an_older_token_is_reuse_at_any_age(presented: int, age: float) -> None:
    assert verdict(presented, age=age) is Verdict.REUSED


def test_a_token_newer_than_the_row_is_a_rollback() -> None:
    assert verdict(CURRENT + 1) is Verdict.ROLLED_BACK


@pytest.mark.parametrize("presented", [0, CURRENT - 1, CURRENT, CURRENT + 1])
def test_any_token_of_an_ended_session_is_answered_with_its_end(presented: int) -> None:
    assert verdict(presented, ended=True) is Verdict.ENDED


@pytest.mark.parametrize("presented", [0, CURRENT - 1, CURRENT, CURRENT + 1])
def test_no_rule_decides_anything_while_the_rotation_lies_over_five_seconds_ahead(presented: int) -> None:
    assert verdict(presented, age=-5.001) is Verdict.UNSOUND_CLOCK
    assert verdict(presented, age=-5) is not Verdict.UNSOUND_CLOCK


@pytest.mark.parametrize(("confirmed", "meant"), [(False, Verdict.LOST), (True, Verdict.REUSED)])
def test_a_grace_of_zero_closes_the_overlap_too(meant: Verdict, *, confirmed: bool) -> None:
    closed = Policy(grace=timedelta(0))

    assert verdict(CURRENT - 1, age=0, confirmed=confirmed, policy=closed) is meant


def test_a_grace_shorter_than_the_overlap_shortens_it() -> None:
    short = Policy(grace=timedelta(seconds=4))

    assert verdict(CURRENT - 1, age=4, confirmed=True, policy=short) is Verdict.REPEATED
    assert verdict(CURRENT - 1, age=4.001, confirmed=True, policy=short) is Verdict.REUSED


@pytest.mark.parametrize(("age", "confirmed"), [(31, False), (31, True), (11, True)])
def test_nothing_ends_for_an_age_that_a_step_of_the_clock_made(age: float, *, confirmed: bool) -> None:
    assert verdict(CURRENT - 1, age=age, confirmed=confirmed, stepped=True) is Verdict.UNSOUND_CLOCK


def test_a_step_of_the_clock_excuses_nothing_that_does_not_depend_on_time() -> None:
    assert verdict(CURRENT, stepped=True) is Verdict.ROTATED
    assert verdict(CURRENT - 1, age=5, stepped=True) is Verdict.REPEATED
    assert verdict(CURRENT - 2, stepped=True) is Verdict.REUSED


@pytest.mark.parametrize(("life", "least", "most"), [(600, 300, 540), (61, 31, 54), (2, 1, 1), (1, 1, 1)])
def test_a_client_is_told_to_refresh_at_50_to_90_percent_of_the_life(
    life: int, least: int, most: int
) -> None:
    assert refresh_after(life, bytes(8)) == least
    assert refresh_after(life, b"\xff" * 8) == most


def test_every_second_between_is_as_likely_as_any_other() -> None:
    draws = [draw.to_bytes(2, "big") for draw in range(1 << 16)]

    counts = Counter(refresh_after(600, draw) for draw in draws)

    assert set(counts) == set(range(300, 541))
    assert max(counts.values()) - min(counts.values()) <= 1
