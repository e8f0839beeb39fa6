"""What is counted of guessed PINs: names that nobody has like others, in a bounded number of rows, nothing in clear."""

from __future__ import annotations

import pytest

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.pins import Attempts
from sessiond.domain.records import Kind
from sessiond.domain.rules import PinRules
from sessiond.services.pin_attempts import Claim, PinAttempts
from sessiond.services.ports import Selection
from tests.deployment import TestDeployment
from tests.pin_door import AWAY, FEW, HOME, PIN, WRONG, Door

pytestmark = pytest.mark.usefixtures("cheap_hashes")


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
