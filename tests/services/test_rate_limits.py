"""Rate limits over services: shared by nodes, of bounded memory, one write for many requests."""

from __future__ import annotations

import asyncio

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.rate_limits import Quota, RateLimited
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.rules import LimitRules, Rules
from sessiond.services.bundle import Services
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Selection
from sessiond.services.rate_limits import RateLimits
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import BY, WRAPPING_KEY, KeptInMemory, SetClock, TestDeployment

HOME = "203.0.113.7"
LIMIT = 100


class CountingStore(MemoryStore):
    """A memory store that counts what is asked of it; its writes let others go first, as a disk's do."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.asked = 0

    async def get(self, key: Key) -> Record | None:
        self.asked += 1
        await asyncio.sleep(0)
        return await super().get(key)

    async def apply(self, change: Change) -> None:
        await asyncio.sleep(0)
        await super().apply(change)
        self.writes += 1


class Nodes:
    """Nodes of one deployment."""

    def __init__(self, deployment: TestDeployment, store: CountingStore) -> None:
        self.deployment = deployment
        self.store = store

    def another(self) -> Services:
        """Return the services of another node, with keys of its own in memory."""
        known = self.deployment.services
        clock = self.deployment.clock
        return Services(
            store=self.store,
            keys=Keys(self.store, clock, wrapping_key=WRAPPING_KEY, deployment=known.keys.deployment),
            clock=clock,
            entropy=known.entropy,
            observer=self.deployment.observer,
            keeper=KeptInMemory(),
            rules=Rules(limits=LimitRules(by_address=LIMIT)),
            base_url=known.base_url,
        )

    def node(self, *, kept: int = 1000, clock: SetClock | None = None, most: int = LIMIT) -> RateLimits:
        """Return the limits of another node."""
        services = self.deployment.services
        return RateLimits(
            self.store,
            services.keys,
            clock or self.deployment.clock,
            tokens=services.tokens,
            contention=Contention(),
            rules=LimitRules(by_address=most),
            kept=kept,
        )


@pytest.fixture
async def nodes() -> Nodes:
    store = CountingStore()
    deployment = await TestDeployment.born(store=store)
    store.writes = 0
    return Nodes(deployment, store)


async def taken(limits: RateLimits, key: str = HOME, project: ProjectId = DEFAULT_PROJECT) -> bool:
    try:
        await limits.take("address", project, key)
    except RateLimited:
        return False
    return True


async def used_up(limits: RateLimits) -> None:
    allowed = [await taken(limits) for _ in range(LIMIT + 1)]
    assert allowed == [True] * LIMIT + [False]


async def test_what_a_limit_decides_is_counted(nodes: Nodes) -> None:
    limits = nodes.another().rate_limits

    await used_up(limits)
    await limits.take("no such limit", DEFAULT_PROJECT, HOME)

    assert limits.decisions == {("address", True): LIMIT, ("address", False): 1}


async def test_nodes_together_allow_no_more_than_the_limit(nodes: Nodes) -> None:
    first, second = (nodes.another().rate_limits for _ in range(2))

    allowed = await asyncio.gather(*(taken(node) for _ in range(LIMIT) for node in (first, second)))

    assert LIMIT // 2 < sum(allowed) <= LIMIT


async def test_one_node_alone_allows_the_whole_limit_with_few_writes(nodes: Nodes) -> None:
    node = nodes.node()

    allowed = [await taken(node) for _ in range(LIMIT + 20)]

    assert allowed == [True] * LIMIT + [False] * 20
    assert nodes.store.writes < LIMIT // 4


async def test_many_at_once_reserve_once(nodes: Nodes) -> None:
    node = nodes.node()

    await asyncio.gather(*(taken(node) for _ in range(LIMIT // 4)))

    assert nodes.store.writes == 1


async def test_whoever_is_refused_costs_no_read(nodes: Nodes) -> None:
    node = nodes.node()
    await used_up(node)
    before = nodes.store.asked

    for _ in range(50):
        assert not await taken(node)

    assert nodes.store.asked == before


async def test_who_waits_as_long_as_was_said_is_served(nodes: Nodes) -> None:
    node = nodes.node()
    await used_up(node)
    with pytest.raises(RateLimited) as refused:
        await node.take("address", DEFAULT_PROJECT, HOME)

    nodes.deployment.clock.advance(seconds=refused.value.retry_after_seconds)

    assert await taken(node)


async def test_a_limit_that_is_raised_or_lowered_counts_at_once_and_what_was_let_through_counts_in_it(
    nodes: Nodes,
) -> None:
    node = nodes.node()
    await used_up(node)

    node.use(LimitRules(by_address=LIMIT + 5))
    allowed = [await taken(node) for _ in range(6)]
    node.use(LimitRules(by_address=LIMIT - 1))

    assert allowed == [True] * 5 + [False]
    assert not await taken(node)
    node.use(LimitRules(by_address=None))
    assert not node.limited("address")
    assert await taken(node)


async def test_rules_that_change_no_limit_take_nothing_away(nodes: Nodes) -> None:
    node = nodes.node()

    allowed = []
    for _ in range(LIMIT):
        node.use(LimitRules(by_address=LIMIT))
        allowed.append(await taken(node))

    assert all(allowed)


async def test_another_address_and_another_project_are_not_concerned(nodes: Nodes) -> None:
    node = nodes.node()
    other = await nodes.deployment.services.projects.add("other", by=BY)
    await used_up(node)

    assert await taken(node, "203.0.113.8")
    assert await taken(node, project=other.id)


async def test_memory_is_bounded_and_forgetting_makes_stricter(nodes: Nodes) -> None:
    node = nodes.node(kept=2, most=8)
    before = nodes.store.asked

    allowed = [[await taken(node, f"203.0.113.{n}") for n in range(4)] for _ in range(10)]

    assert nodes.store.asked - before == 40  # of four, each is forgotten before it comes again
    assert all(0 < sum(row[n] for row in allowed) < 8 for n in range(4))


async def test_what_is_stored_names_no_address_and_is_purged_when_its_window_ends(nodes: Nodes) -> None:
    await taken(nodes.node())
    selection = Selection(kind=Kind.ALLOTMENT)
    stored = await nodes.store.scan(selection, limit=10)
    quota = await nodes.node().take("address", DEFAULT_PROJECT, HOME)
    assert isinstance(quota, Quota)

    later = nodes.deployment.clock.now() + quota.reset_seconds * 1000 + 1
    await nodes.store.purge(ended_before=0, due_before=later, limit=10)

    assert len(stored) == 1
    assert HOME not in repr(stored[0])
    assert await nodes.store.count(selection) == 0


async def test_a_node_whose_clock_is_behind_adds_nothing(nodes: Nodes) -> None:
    ahead, behind = nodes.node(), nodes.node(clock=SetClock(nodes.deployment.clock.now() - 90_000))
    await used_up(ahead)

    assert not await taken(behind)
