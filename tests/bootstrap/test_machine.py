from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sessiond.bootstrap.machine import SystemClock, step_back

START = 1_700_000_000_000


class Hands:
    """A wall clock and a steady one, both set by the test, in milliseconds."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 5_000_000

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall * 1_000_000, lambda: self.steady * 1_000_000)

    def pass_time(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.steady += milliseconds


def test_the_clock_follows_the_wall() -> None:
    hands = Hands()
    clock = hands.clock()

    hands.pass_time(1234)

    assert clock.now() == START + 1234
    assert clock.take_steps() == []


def test_a_small_correction_back_makes_time_stand_still() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_time(10_000)
    before = clock.now()

    hands.wall -= 3000

    assert clock.now() == before
    hands.pass_time(4000)
    assert clock.now() == before + 1000
    assert clock.take_steps() == []


def test_a_step_back_lengthens_no_limit_and_is_told() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_time(10_000)
    before = clock.now()

    hands.wall -= 86_400_000

    assert clock.now() == before
    hands.pass_time(60_000)
    assert clock.now() == before + 60_000
    assert clock.take_steps() == [-86_400_000]
    assert clock.take_steps() == []


def test_a_step_forward_is_followed_and_told() -> None:
    hands = Hands()
    clock = hands.clock()

    hands.wall += 3_600_000

    assert clock.now() == START + 3_600_000
    assert clock.take_steps() == [3_600_000]


def test_time_never_goes_back_when_a_step_forward_is_taken_back() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += 3_600_000
    ahead = clock.now()

    hands.wall -= 3_600_000
    hands.pass_time(1000)

    assert clock.now() == ahead + 1000
    assert clock.take_steps() == [3_600_000, -3_600_000]


def test_a_step_lies_between_what_was_before_it_and_now_for_an_hour() -> None:
    hands = Hands()
    clock = hands.clock()
    before = clock.now()
    hands.wall += 40_000
    hands.pass_time(1)
    after = clock.now()

    assert clock.stepped_since(before)
    assert not clock.stepped_since(after)

    hands.pass_time(3_600_000)
    clock.now()
    assert not clock.stepped_since(before)


def test_what_another_node_wrote_meanwhile_lies_before_a_step_forward() -> None:
    hands = Hands()
    clock = hands.clock()
    before = clock.now()
    hands.wall += 120_000
    hands.pass_time(1)
    clock.now()
    hands.pass_time(10_000)
    clock.now()

    assert clock.stepped_since(before + 10_000)


def test_while_time_leads_the_wall_clock_a_step_lies_before_now() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += 120_000
    clock.now()
    hands.wall -= 120_000
    hands.pass_time(7_200_000)
    clock.now()

    assert clock.stepped_since(clock.now() - 20_000)


def test_no_step_lies_anywhere_while_the_wall_and_the_steady_clock_agree() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.pass_time(86_400_000)

    assert not clock.stepped_since(clock.now() - 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_only_the_thread_that_steps_back_does() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()

    with ThreadPoolExecutor(1, initializer=step_back) as pool:
        stepped_back = pool.submit(niceness).result()

    assert stepped_back == min(before + 10, 19)
    assert niceness() == before
