"""Allowances: a burst at once, then as fast as the bucket refills."""

from __future__ import annotations

from sessiond.domain.allowances import Bucket, is_whole, take


def test_a_burst_is_allowed_and_the_next_must_wait() -> None:
    bucket: Bucket | None = None
    for _ in range(5):
        bucket, wait_ms = take(bucket, now=1000, burst=5, per_second=1)
        assert wait_ms == 0

    assert take(bucket, now=1000, burst=5, per_second=1)[1] == 1000


def test_who_waits_is_served_and_a_refused_attempt_costs_nothing() -> None:
    empty = Bucket(0, 1000)
    empty, wait_ms = take(empty, now=1500, burst=5, per_second=1)
    assert wait_ms == 500

    assert take(empty, now=2000, burst=5, per_second=1)[1] == 0


def test_a_clock_that_went_back_refills_nothing() -> None:
    bucket, wait_ms = take(Bucket(0.5, 5000), now=1000, burst=5, per_second=1)

    assert wait_ms == 500
    assert bucket.at == 5000


def test_the_wait_is_what_the_bucket_takes_to_hold_one_again_and_never_nothing() -> None:
    assert take(Bucket(0, 1000), now=1000, burst=5, per_second=4)[1] == 250
    assert take(Bucket(0.75, 1000), now=1000, burst=5, per_second=0.5)[1] == 500
    assert take(Bucket(0.999999, 1000), now=1000, burst=5, per_second=4)[1] == 1


def test_a_bucket_is_whole_again_once_all_has_come_back() -> None:
    assert is_whole(Bucket(4, 1000), now=2000, burst=5, per_second=1)
    assert not is_whole(Bucket(4, 1000), now=1999, burst=5, per_second=1)
