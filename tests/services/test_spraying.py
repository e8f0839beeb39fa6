"""Whoever comes from many addresses, as many subjects or under many names fills no memory and frees nobody."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from sessiond.domain.errors import Throttled
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.rate_limits import RateLimited
from sessiond.domain.refused_attempts import MOST_TOLD, Attempt
from sessiond.domain.rules import LimitRules
from sessiond.services.contention import Contention
from sessiond.services.rate_limits import RateLimits
from sessiond.services.throttle import Allowance
from tests.deployment import SetClock, TestDeployment

HOME = "203.0.113.7"
BURST, REMEMBERED = 5, 10_000


def spray(allowance: Allowance, names: range, *, before: str = "") -> int:
    """Come once under each name, and return how often that was allowed."""
    return sum(allowance.allows(f"{before}{number}") for number in names)


def growth_of(spraying: Callable[[range], object]) -> tuple[int, int]:
    """Return how many bytes are kept after more names than are remembered, and how many more after twice as many."""
    tracemalloc.start()
    try:
        spraying(range(REMEMBERED + 10))
        first, _ = tracemalloc.get_traced_memory()
        spraying(range(REMEMBERED + 10, 2 * REMEMBERED))
        return first, tracemalloc.get_traced_memory()[0] - first
    finally:
        tracemalloc.stop()


def test_names_without_end_fill_no_memory() -> None:
    allowance = Allowance(SetClock(), burst=BURST, per_second=1)

    first, more = growth_of(lambda names: spray(allowance, names))

    assert more < first // 2


def test_who_is_locked_out_is_not_let_in_because_others_come() -> None:
    allowance = Allowance(SetClock(), burst=BURST, per_second=1)
    assert [allowance.allows(HOME) for _ in range(BURST + 1)] == [True] * BURST + [False]

    for wave in range(2):
        spray(allowance, range(REMEMBERED + 1), before=f"{wave} ")
        assert not allowance.allows(HOME)


def test_names_beyond_what_is_remembered_get_no_more_than_one_name_would() -> None:
    clock = SetClock()
    allowance = Allowance(clock, burst=BURST, per_second=1)

    assert spray(allowance, range(3 * REMEMBERED)) == REMEMBERED + BURST
    clock.advance(seconds=1)
    assert spray(allowance, range(3 * REMEMBERED, 4 * REMEMBERED)) == REMEMBERED


def test_a_flood_that_is_over_keeps_nobody_out() -> None:
    clock = SetClock()
    allowance = Allowance(clock, burst=BURST, per_second=1)
    spray(allowance, range(2 * REMEMBERED))
    assert not allowance.allows(HOME)

    clock.advance(seconds=BURST)

    assert [allowance.allows(HOME) for _ in range(BURST + 1)] == [True] * BURST + [False]


async def test_a_used_up_limit_stays_so_while_the_memory_of_it_is_flushed() -> None:
    deployment = await TestDeployment.born()
    services = deployment.services
    limits = RateLimits(
        services.store,
        services.keys,
        deployment.clock,
        tokens=services.tokens,
        contention=Contention(),
        rules=LimitRules(by_address=BURST),
        kept=20,
    )

    async def taken(address: str) -> bool:
        try:
            await limits.take("address", DEFAULT_PROJECT, address)
        except RateLimited:
            return False
        return True

    assert [await taken(HOME) for _ in range(BURST + 1)] == [True] * BURST + [False]
    for wave in range(3):
        assert all([await taken(f"198.51.{wave}.{number}") for number in range(50)])
        assert not await taken(HOME)


async def test_refused_attempts_from_everywhere_are_counted_in_a_few_places_and_none_is_lost() -> None:
    services = (await TestDeployment.born()).services

    def refuse(networks: range) -> None:
        for number in networks:
            address = f"2001:db8:{number:x}::1"
            services.refused_attempts.note(Attempt.MASTER_TOKEN, DEFAULT_PROJECT, address)

    before = await services.store.newest_event()
    refuse(range(1_000))
    await services.refused_attempts.flush()

    told = await services.store.events(after=before, limit=100)
    counts = [event.data["count"] for _, event in told]
    assert len(counts) == MOST_TOLD + 1
    assert sum(count for count in counts if isinstance(count, int)) == 1_000


def test_who_waits_as_long_as_was_said_gets_in_during_a_flood() -> None:
    clock = SetClock()
    allowance = Allowance(clock, burst=1, per_second=1)
    allowance.take(HOME)
    spray(allowance, range(2 * REMEMBERED))
    with pytest.raises(Throttled) as refused:
        allowance.take(HOME)

    clock.advance(seconds=refused.value.retry_after_seconds)

    assert allowance.allows(HOME)
