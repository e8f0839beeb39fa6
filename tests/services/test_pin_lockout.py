"""Guessing PINs from one address costs time, however many are tried at once or by however many nodes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Throttled
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.rules import PinRules
from tests.deployment import BY, TestDeployment
from tests.pin_door import AWAY, FEW, WRONG, Door

pytestmark = pytest.mark.usefixtures("cheap_hashes")


@pytest.fixture
async def narrow_door() -> Door:
    return await Door.with_alice(FEW)


# -- one account from one address


async def test_after_five_failures_the_right_pin_must_wait_too(door: Door) -> None:
    await door.fail(5)

    with pytest.raises(Throttled) as refusal:
        await door.login()
    assert refusal.value.retry_after_seconds == 30

    door.clock.advance(seconds=29)
    assert await door.knock() == "too_many_attempts"
    door.clock.advance(seconds=1)
    assert await door.knock() == "in"


async def test_each_further_failure_doubles_the_wait(door: Door) -> None:
    await door.fail(5)
    waits = []
    for _ in range(4):
        with pytest.raises(Throttled) as refusal:
            await door.login()
        waits.append(refusal.value.retry_after_seconds)
        door.clock.advance(seconds=waits[-1])
        await door.fail(1)

    assert waits == [30, 60, 120, 240]


async def test_an_attempt_that_comes_too_early_is_not_counted(door: Door) -> None:
    await door.fail(5)
    for _ in range(20):
        assert await door.knock() == "too_many_attempts"

    door.clock.advance(seconds=30)

    assert await door.knock() == "in"
    assert door.deployment.observer["pin_throttled"] == 20


async def test_a_success_gives_five_free_attempts_again(door: Door) -> None:
    await door.fail(4)
    await door.login()

    await door.fail(5)

    assert await door.knock() == "too_many_attempts"


async def test_the_right_pin_of_a_disabled_user_is_one_more_failure(door: Door) -> None:
    await door.pins.disable(DEFAULT_PROJECT, "alice", by=BY)

    outcomes = [await door.knock() for _ in range(6)]

    assert outcomes == ["invalid_credentials"] * 5 + ["too_many_attempts"]


async def test_failures_elsewhere_and_at_other_names_do_not_count_here(door: Door) -> None:
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=BY)

    await door.fail(5)

    assert await door.knock(address=AWAY) == "in"
    assert await door.knock("bob", "5555") == "in"


async def test_a_name_in_another_form_is_the_same_account(door: Door) -> None:
    await door.fail(3, "ALICE")
    await door.fail(2, "\uff21lice")

    assert await door.knock() == "too_many_attempts"


async def test_ipv6_addresses_of_one_64_are_one(door: Door) -> None:
    for host in range(5):
        await door.fail(1, address=f"2001:db8:1:2::{host}")

    assert await door.knock(address="2001:db8:1:2:ffff::1") == "too_many_attempts"
    assert await door.knock(address="2001:db8:1:3::1") == "in"


async def test_attempts_in_parallel_pass_no_limit(door: Door) -> None:
    outcomes = Counter(await asyncio.gather(*(door.knock(pin=WRONG) for _ in range(20))))

    assert outcomes == {"invalid_credentials": 5, "too_many_attempts": 15}


async def test_attempts_in_parallel_that_succeed_are_all_let_in(door: Door) -> None:
    outcomes = await asyncio.gather(*(door.knock() for _ in range(5)))

    assert outcomes == ["in"] * 5


async def test_an_attempt_is_counted_before_its_pin_is_looked_at() -> None:
    door, held = await Door.with_alice(PinRules(hashing_threads=1)), threading.Event()
    with door.deployment.services.pin_hashing.permit() as permit:
        holding = asyncio.create_task(permit.run(held.wait))
        waiting = [asyncio.create_task(door.knock(pin=WRONG)) for _ in range(5)]

        assert await asyncio.create_task(door.knock()) == "too_many_attempts"

        assert not any(attempt.done() for attempt in waiting)
        held.set()
        await asyncio.gather(holding, *waiting)


# -- one address, over all accounts


async def test_an_address_that_tries_many_names_must_wait(narrow_door: Door) -> None:
    door = narrow_door
    for number in range(7):
        await door.fail(1, f"guess{number}")

    assert await door.knock() == "too_many_attempts"
    assert await door.knock(address=AWAY) == "in"


async def test_a_success_takes_only_its_own_failure_from_the_address(narrow_door: Door) -> None:
    door = narrow_door
    for number in range(6):
        await door.fail(1, f"guess{number}")
    assert await door.knock() == "in"
    assert await door.knock() == "in"

    await door.fail(1, "guess7")

    assert await door.knock() == "too_many_attempts"


async def test_a_success_takes_back_nothing_that_another_node_counted_meanwhile() -> None:
    rules = PinRules(address_free_attempts=7, hashing_threads=1)
    here, held = await Door.with_alice(rules), threading.Event()
    there = Door(await TestDeployment.born(store=here.store, clock=here.clock, seed="there"))
    with here.deployment.services.pin_hashing.permit() as permit:
        holding = asyncio.create_task(permit.run(held.wait))
        looked_at = asyncio.create_task(here.knock())
        while not await here.counters():  # noqa: ASYNC110  nothing tells when it is counted
            await asyncio.sleep(0)

        for number in range(6):
            await there.fail(1, f"guess{number}")
        held.set()
        await holding

    assert await looked_at == "in"
    await here.fail(1, "guess6")
    assert await here.knock() == "too_many_attempts"
