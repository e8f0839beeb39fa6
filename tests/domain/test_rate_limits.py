"""Shares of a limit: no dealing of them gives more than the limit in one window."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.rate_limits import (
    Allotment,
    Quota,
    RateLimit,
    RateLimited,
    limits_of,
    take_share,
    window_end,
)
from sessiond.domain.records import Key, Kind
from sessiond.domain.rules import LimitRules
from tests.domain.samples import NOW

MINUTE = 60_000
NAME = bytes(range(16))


def limit(most: int) -> RateLimit:
    return RateLimit(name="address", most=most, window=timedelta(minutes=1))


def untouched() -> Allotment:
    return Allotment(project=DEFAULT_PROJECT, partition=Partition(1), name=NAME, until=0, taken=0, version=0)


@given(most=st.integers(1, 2000))
def test_shares_of_one_window_add_up_to_the_limit_exactly(most: int) -> None:
    allotment, granted = untouched(), 0

    for _ in range(most + 1):
        allotment, share = take_share(allotment, limit(most), NOW)
        granted += share.granted
        assert share.left == most - granted
        if not share.granted:
            break

    assert granted == most


def test_a_share_is_a_quarter_of_what_is_left_and_never_nothing() -> None:
    first, share = take_share(untouched(), limit(600), NOW)
    _, second = take_share(first, limit(600), NOW)

    assert (share.granted, second.granted) == (150, 112)
    assert take_share(untouched(), limit(1), NOW)[1].granted == 1


def test_the_next_window_begins_anew() -> None:
    allotment, share = take_share(untouched(), limit(1), NOW)
    _, same = take_share(allotment, limit(1), share.until - 1)
    _, following = take_share(allotment, limit(1), share.until)

    assert same.granted == 0
    assert following.granted == 1
    assert following.until == share.until + MINUTE


def test_a_node_whose_clock_is_behind_keeps_to_the_window_of_the_others() -> None:
    allotment, ahead = take_share(untouched(), limit(4), NOW + 2 * MINUTE)

    after, behind = take_share(allotment, limit(4), NOW)

    assert behind.until == ahead.until
    assert after.taken == ahead.granted + behind.granted


@given(now=st.integers(0, 4_102_444_800_000), name=st.binary(min_size=16, max_size=16))
def test_every_instant_lies_in_the_window_whose_end_is_told(now: int, name: bytes) -> None:
    end = window_end(limit(1), name, now)

    assert now < end <= now + MINUTE
    assert window_end(limit(1), name, end - 1) == end
    assert window_end(limit(1), name, end) == end + MINUTE


def test_windows_of_different_names_do_not_end_together() -> None:
    ends = {window_end(limit(1), bytes([n]) * 16, NOW) for n in range(16)}

    assert len(ends) == 16


def test_a_client_is_told_the_seconds_until_the_window_ends_rounded_up() -> None:
    _, share = take_share(untouched(), limit(8), NOW)

    quota = share.spent().quota(share.until - 1001)

    assert (quota.remaining, quota.reset_seconds) == (7, 2)


def test_a_limit_that_is_none_is_no_limit() -> None:
    assert set(limits_of(LimitRules())) == {"address", "session", "sign_up"}
    assert limits_of(LimitRules(by_address=None, by_session=None, sign_ups_by_address=None)) == {}


def test_the_limits_that_rules_set_have_their_names_and_windows() -> None:
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    rules = LimitRules(by_address=1, by_session=2, by_server_key=3, sign_ups_by_address=4)

    assert list(limits_of(rules).items()) == [
        ("address", RateLimit(name="address", most=1, window=minute)),
        ("session", RateLimit(name="session", most=2, window=minute)),
        ("server_key", RateLimit(name="server_key", most=3, window=minute)),
        ("sign_up", RateLimit(name="sign_up", most=4, window=hour)),
    ]


def test_the_refusal_says_which_limit_and_when_to_come_back() -> None:
    refusal = RateLimited(Quota(limit=limit(600), remaining=0, reset_seconds=7))

    assert (refusal.code, refusal.retry_after_seconds) == ("too_many_requests", 7)
    assert refusal.data == {"limit": "address"}
    assert refusal.detail == "More than 600 requests in 60 seconds (limit address); try again in 7 seconds."
    assert refusal.quota.remaining == 0


def test_a_client_is_never_told_to_come_back_at_once() -> None:
    _, share = take_share(untouched(), limit(8), NOW)

    assert share.quota(share.until).reset_seconds == 1
    assert share.quota(share.until - 1000).reset_seconds == 1


def test_an_allotment_lies_under_its_keyed_hash_and_goes_with_its_window() -> None:
    allotment, share = take_share(untouched(), limit(8), NOW)

    assert allotment.key == Key(Kind.ALLOTMENT, Partition(1), DEFAULT_PROJECT, NAME)
    assert allotment.purge_at == allotment.until == share.until
    assert (allotment.taken, allotment.version) == (2, 1)


def test_a_limit_that_became_lower_than_what_was_taken_grants_nothing() -> None:
    allotment, _ = take_share(untouched(), limit(600), NOW)

    after, share = take_share(allotment, limit(10), NOW)

    assert (share.granted, share.left, after.taken) == (0, 0, 150)
