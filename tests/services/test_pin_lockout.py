"""Guessing PINs costs time, and locks nobody out who has been here before."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Throttled
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.pins import Attempts
from sessiond.domain.records import Kind
from sessiond.domain.rules import PinRules
from sessiond.services.pin_attempts import Claim, PinAttempts
from sessiond.services.ports import Selection
from tests.deployment import BY, TestDeployment
from tests.pin_door import HOME, PIN, WRONG, Door

pytestmark = pytest.mark.usefixtures("cheap_hashes")

AWAY = "203.0.113.77"
FEW = PinRules(account_closes_after=8, account_attempts_per_hour=6, address_free_attempts=7)
"""Smaller numbers than the contract's, whose own are tested in the domain."""


@pytest.fixture
async def door() -> Door:
    return await Door.with_alice()


@pytest.fixture
async def narrow_door() -> Door:
    return await Door.with_alice(FEW)


async def closed_door() -> Door:
    """Return a door at which strangers have closed alice's account, who was here before from home."""
    door = await Door.with_alice(PinRules(account_closes_after=8))
    await door.login()
    await door.besiege(8)
    return door


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


# -- one account, over all addresses


async def test_strangers_may_try_an_account_so_often_in_an_hour() -> None:
    door = await Door.with_alice(PinRules(account_attempts_per_hour=6))
    await door.besiege(6)

    assert await door.knock(address=AWAY) == "too_many_attempts"
    door.clock.advance(minutes=59)
    assert await door.knock(address=AWAY) == "too_many_attempts"
    door.clock.advance(minutes=1)
    assert await door.knock(address=AWAY) == "in"


async def test_a_closed_account_stays_closed_to_strangers_even_with_the_pin() -> None:
    door = await closed_door()

    door.clock.advance(days=29)

    with pytest.raises(Throttled) as refusal:
        await door.login(address=AWAY)
    assert refusal.value.retry_after_seconds == 3600


async def test_the_owner_gets_in_from_an_address_with_a_former_success() -> None:
    door = await closed_door()

    assert await door.knock(address=HOME) == "in"


async def test_the_owners_success_opens_the_account_again() -> None:
    door = await closed_door()

    await door.login(address=HOME)

    assert await door.knock(address=AWAY) == "in"


async def test_the_owner_gets_in_from_anywhere_with_the_browser_of_a_former_success() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    await door.besiege(8)

    assert await door.knock(address=AWAY) == "too_many_attempts"
    assert await door.knock(address=AWAY, known=known) == "in"


async def test_a_client_is_known_for_thirty_days() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    door.clock.advance(days=30)
    await door.besiege(8)

    assert await door.knock(address=HOME) == "too_many_attempts"
    assert await door.knock(address=AWAY, known=known) == "too_many_attempts"


async def test_nobody_is_known_after_another_pin_was_set() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    door.clock.advance(seconds=1)
    await door.pins.set_pin(DEFAULT_PROJECT, "alice", Secret("5555"), by=BY)

    await door.besiege(8)

    assert await door.knock(pin="5555", address=HOME) == "too_many_attempts"
    assert await door.knock(pin="5555", address=AWAY, known=known) == "too_many_attempts"


async def test_a_browser_is_known_for_its_own_account_only() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=BY)
    of_bob = (await door.login("bob", "5555", address=AWAY)).known_client.text.reveal()
    await door.besiege(8)

    assert await door.knock(address=AWAY, known=of_bob) == "too_many_attempts"


async def test_a_forged_known_client_is_a_stranger() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=8))
    known = (await door.login()).known_client.text.reveal()
    await door.besiege(8)
    mutants = [known[:i] + ("A" if known[i] != "A" else "B") + known[i + 1 :] for i in range(len(known))]

    outcomes = {
        await door.knock(address=AWAY, known=text) for text in (*mutants, "", known[:-1], known + "A", "é")
    }

    assert outcomes == {"too_many_attempts"}


async def test_a_stolen_known_client_has_five_free_attempts_in_all_its_addresses() -> None:
    door = await Door.with_alice()
    known = (await door.login()).known_client.text.reveal()

    for host in range(5):
        await door.fail(1, address=f"198.51.100.{host}", known=known)

    assert await door.knock(address=AWAY, known=known) == "too_many_attempts"
    assert await door.knock(address=AWAY) == "in"


async def test_the_failures_of_known_clients_close_no_account() -> None:
    door = await Door.with_alice(PinRules(account_closes_after=3))
    await door.login()

    await door.fail(4, address=HOME)

    assert await door.knock(address=AWAY) == "in"


# -- the operator


async def test_the_operator_sees_a_closed_account_and_unlocks_it() -> None:
    door = await closed_door()
    assert (await door.pins.get_user(DEFAULT_PROJECT, "alice")).closed
    assert [user.closed for user in await door.pins.list_users(DEFAULT_PROJECT)] == [True]

    await door.pins.unlock(DEFAULT_PROJECT, "ALICE", by=Initiator("cli"))

    assert not (await door.pins.get_user(DEFAULT_PROJECT, "alice")).closed
    assert await door.knock(address=AWAY) == "in"


async def test_an_unlock_ends_every_wait_of_the_account_and_of_no_other(door: Door) -> None:
    await door.pins.add_user(DEFAULT_PROJECT, "bob", Secret("5555"), by=BY)
    await door.fail(5, address=HOME)
    await door.fail(5, address=AWAY)
    await door.fail(5, "bob", address=HOME)

    await door.pins.unlock(DEFAULT_PROJECT, "alice", by=Initiator("cli"))

    assert [await door.knock(address=each) for each in (HOME, AWAY)] == ["in", "in"]
    assert await door.knock("bob", "5555") == "too_many_attempts"


async def test_an_unlock_keeps_known_clients_known() -> None:
    door = await closed_door()
    await door.pins.unlock(DEFAULT_PROJECT, "alice", by=Initiator("cli"))

    await door.besiege(8)

    assert await door.knock(address=HOME) == "in"


# -- names that nobody has


@pytest.mark.parametrize("name", ["alice", "nobody"])
async def test_a_name_that_nobody_has_is_throttled_like_one_that_somebody_has(name: str) -> None:
    door = await Door.with_alice(FEW)

    outcomes = [await door.knock(name, WRONG) for _ in range(7)]
    door.clock.advance(seconds=30)
    outcomes += [await door.knock(name, WRONG)]
    door.clock.advance(hours=2)
    outcomes += [await door.knock(name, WRONG, address=f"198.51.100.{host}") for host in range(6)]

    assert outcomes == [
        *["invalid_credentials"] * 5,
        *["too_many_attempts"] * 2,
        "invalid_credentials",
        *["invalid_credentials"] * 2,
        *["too_many_attempts"] * 4,
    ]


async def test_a_name_that_nobody_has_is_stored_nowhere(door: Door) -> None:
    await door.fail(5, "hunter2-typed-into-the-wrong-field")

    counters = await door.store.scan(Selection(kind=Kind.ATTEMPTS), limit=100)
    events = await door.store.events(after=0, limit=100)

    assert "hunter2" not in repr([counters, events])
    assert {event.subject for event in await door.events(EventType.PIN_REFUSED)} == {None}


async def test_guessing_names_fills_a_bounded_number_of_counters(deployment: TestDeployment) -> None:
    services = deployment.services
    attempts = PinAttempts(
        services.store,
        services.keys,
        services.clock,
        deployment.observer,
        contention=services.contention,
        rules=PinRules(free_attempts=1000, address_free_attempts=1000),
        slots=4,
    )

    for number in range(90):
        await attempts.reserve(
            Claim(project=DEFAULT_PROJECT, subject=SubjectId(f"guess{number}"), network=HOME)
        )

    assert await services.store.count(Selection(kind=Kind.ATTEMPTS)) == 4 + 4 + 1


# -- what is kept


async def test_counters_hold_no_address_and_no_pin_in_clear(door: Door) -> None:
    await door.fail(2, address=AWAY)
    await door.login(address=AWAY)

    stored = repr(await door.store.scan(Selection(kind=Kind.ATTEMPTS), limit=100))

    assert AWAY not in stored
    assert WRONG not in stored
    assert PIN not in stored


async def test_a_refused_pin_is_told_in_an_event_with_its_address(door: Door) -> None:
    await door.fail(1, address=AWAY)

    [event] = await door.events(EventType.PIN_REFUSED)

    assert (event.subject, event.data) == ("alice", {"address": AWAY})


async def test_counters_are_purged_when_they_count_for_nothing_any_more(door: Door) -> None:
    await door.fail(1, address=AWAY)
    await door.fail(1, "nobody", address=AWAY)
    await door.login(address=HOME)
    door.clock.advance(days=2)

    await door.store.purge(ended_before=door.clock.now(), due_before=door.clock.now(), limit=100)
    kept = await door.store.scan(Selection(kind=Kind.ATTEMPTS), limit=100)

    known = [row for row in kept if isinstance(row, Attempts) and row.succeeded_at is not None]
    accounts = [row for row in kept if row.purge_at is None]
    assert len(known) == 1
    assert len(accounts) == 2
    assert len(kept) == 3
