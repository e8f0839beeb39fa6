from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, cast

import pytest

from sessiond.domain.audit_chain import LEASE_MS, MOST_ENTRIES, Head, Lease, Link, head_key, lease_key
from sessiond.domain.errors import Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.services.audit_chains import chain_partition, read_links
from sessiond.services.audit_sealing import LOOKED_EVERY_MS
from sessiond.services.ports import Change, Store
from sessiond.storage.engine import unavailable
from tests.deployment import BY, SetClock, TestDeployment


async def links_of(node: TestDeployment, project: ProjectId = DEFAULT_PROJECT) -> Sequence[Link]:
    """Return the whole chain of a project, whose links must follow each other."""
    services = node.services
    head = await services.store.get(head_key(project, chain_partition(services.keys, project)))
    if head is None:
        return []
    assert isinstance(head, Head)
    links = await read_links(services.store, head, range(head.first, head.number + 1))
    found = [link for link in links if link is not None]
    assert len(found) == len(links)
    for first, second in itertools.pairwise(found):
        assert second.previous == first.digest()
    assert head.digest == found[-1].digest()
    return found


async def sealed(node: TestDeployment) -> list[int]:
    """Return the sequences of the default project's sealed events, in the order of the chain."""
    return [entry.sequence for link in await links_of(node) for entry in link.entries()]


async def told(node: TestDeployment) -> list[int]:
    """Return the sequences of the default project's events."""
    return [
        sequence
        for sequence, _ in await node.services.store.events(after=0, limit=9999, project=DEFAULT_PROJECT)
    ]


async def two_nodes() -> tuple[TestDeployment, TestDeployment]:
    first = await TestDeployment.born(seed="one")
    return first, await TestDeployment.born(store=first.services.store, clock=first.clock, seed="two")


async def seal_all(node: TestDeployment) -> None:
    while await node.services.sealer.seal():
        pass


async def test_what_happened_is_sealed_once_and_in_order(deployment: TestDeployment) -> None:
    for n in range(5):
        await deployment.issue(SubjectId(f"user-{n}"))
        await seal_all(deployment)
    await seal_all(deployment)

    assert await sealed(deployment) == await told(deployment)
    assert len(await links_of(deployment)) == 5


async def test_more_than_one_link_takes_is_sealed_in_several(deployment: TestDeployment) -> None:
    for n in range(600):
        await deployment.issue(SubjectId(f"user-{n}"))

    await seal_all(deployment)

    assert await sealed(deployment) == await told(deployment)
    assert [len(link.entries()) for link in await links_of(deployment)] == [1000, 202]


async def test_each_project_has_a_chain_of_its_own(deployment: TestDeployment) -> None:
    other = await deployment.services.projects.add("other", by=BY)
    await seal_all(deployment)

    (mine,), (theirs,) = await links_of(deployment), await links_of(deployment, other.id)
    assert (mine.project, theirs.project) == (DEFAULT_PROJECT, other.id)
    assert len(theirs.entries()) == len(
        await deployment.services.store.events(after=0, limit=9, project=other.id)
    )


async def test_nothing_new_writes_nothing(deployment: TestDeployment) -> None:
    await seal_all(deployment)
    before = await links_of(deployment)

    assert not await deployment.services.sealer.seal()

    assert await links_of(deployment) == before


async def test_one_node_seals_and_the_other_does_not() -> None:
    one, two = await two_nodes()
    await seal_all(one)
    await one.issue()

    await seal_all(two)
    assert len(await sealed(one)) < len(await told(one))

    await seal_all(one)
    assert await sealed(one) == await told(one)


async def test_another_takes_over_once_the_lease_of_the_dead_is_over() -> None:
    one, two = await two_nodes()
    await seal_all(one)
    await one.issue()
    one.clock.advance(milliseconds=LEASE_MS)

    await seal_all(two)

    assert await sealed(two) == await told(two)


async def test_a_lease_that_was_released_is_taken_at_once() -> None:
    one, two = await two_nodes()
    await seal_all(one)
    await one.issue()
    await one.services.sealer.release()

    await seal_all(two)

    assert await sealed(two) == await told(two)


async def test_who_takes_over_seals_nothing_again_that_was_sealed_since_the_lease_was_renewed() -> None:
    one, two = await two_nodes()
    other = await one.services.projects.add("other", by=BY)
    await seal_all(one)
    for n in range(4):  # within the lease: how far it came is not written down
        await one.issue(SubjectId(f"user-{n}"))
        await seal_all(one)
    one.clock.advance(milliseconds=LEASE_MS)

    await seal_all(two)
    await two.issue(SubjectId("last"))
    await seal_all(two)

    assert await sealed(two) == await told(two)
    assert len(await links_of(two, other.id)) == 1


async def test_what_is_sealed_is_counted_once_by_whoever_sealed_it() -> None:
    one, two = await two_nodes()
    await seal_all(one)
    await one.issue(SubjectId("first"))
    await seal_all(one)
    one.clock.advance(milliseconds=LEASE_MS)

    await two.issue(SubjectId("last"))
    await seal_all(two)
    await seal_all(two)

    counted = one.services.sealer.sealed + two.services.sealer.sealed
    assert counted.total() == len(await told(two))
    assert counted[EventType.SESSION_ISSUED] == 2


class Halting:
    """A store whose writes wait at a gate, or fail after they were done; everything else is the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.gate: asyncio.Event | None = None
        self.read_gate: asyncio.Event | None = None
        self.reached = asyncio.Event()
        self.loses_answers = False
        self.links_before_it_breaks: int | None = None
        self.links_before_the_gate = 0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store's is
        return getattr(self._store, name)

    async def follow(self, mark: bytes, *, limit: int, everywhere: bool) -> object:
        found = await self._store.follow(mark, limit=limit, everywhere=everywhere)
        if self.read_gate is not None:
            self.reached.set()
            await self.read_gate.wait()
        return found

    async def apply(self, change: Change) -> None:
        links = any(isinstance(record, Link) for record in change.puts)
        if links and self.gate is not None:
            self.links_before_the_gate -= 1
            if self.links_before_the_gate < 0:
                self.reached.set()
                await self.gate.wait()
        if links and self.links_before_it_breaks is not None:
            if not self.links_before_it_breaks:
                raise unavailable("the connection was lost")
            self.links_before_it_breaks -= 1
        await self._store.apply(change)
        if links and self.loses_answers:
            raise unavailable("the connection was lost")


async def halting_and_other() -> tuple[TestDeployment, Halting, TestDeployment]:
    other = await TestDeployment.born(seed="two")
    store = Halting(other.services.store)
    return await TestDeployment.born(store=cast("Store", store), clock=other.clock, seed="one"), store, other


async def stopped_while_sealing(halted: TestDeployment, store: Halting) -> asyncio.Task[None]:
    """Let *halted* seal something new until it stands at the gate that is closed."""
    await halted.issue(SubjectId("first"))
    sealing = asyncio.create_task(seal_all(halted))
    await store.reached.wait()
    return sealing


async def test_who_was_stopped_before_its_write_cannot_fork_the_chain() -> None:
    halted, store, other = await halting_and_other()
    await seal_all(halted)
    store.gate = asyncio.Event()
    writing = await stopped_while_sealing(halted, store)
    other.clock.advance(milliseconds=LEASE_MS)
    await seal_all(other)

    store.gate.set()
    await writing
    store.gate = None
    await halted.issue(SubjectId("second"))
    await seal_all(halted)
    await seal_all(other)

    assert await sealed(other) == await told(other)


async def test_who_was_stopped_after_it_had_read_does_not_append_even_where_its_clock_is_slow() -> None:
    other = await TestDeployment.born(seed="two")
    store = Halting(other.services.store)
    halted = await TestDeployment.born(store=cast("Store", store), clock=SetClock(), seed="one")
    await seal_all(halted)
    store.read_gate = asyncio.Event()
    sealing = await stopped_while_sealing(halted, store)
    other.clock.advance(milliseconds=LEASE_MS)
    await seal_all(other)

    store.read_gate.set()
    await sealing
    await seal_all(other)

    assert await sealed(other) == await told(other)


async def test_what_a_stopped_node_wrote_after_all_is_not_sealed_again() -> None:
    halted, store, other = await halting_and_other()
    await seal_all(halted)
    store.gate = asyncio.Event()
    writing = await stopped_while_sealing(halted, store)
    other.clock.advance(milliseconds=LEASE_MS)

    store.gate.set()
    await writing
    await seal_all(other)

    assert await sealed(other) == await told(other)


async def test_a_write_whose_answer_was_lost_is_not_made_twice() -> None:
    halted, store, _ = await halting_and_other()
    await halted.issue()
    store.loses_answers = True
    with pytest.raises(Unavailable):
        await halted.services.sealer.seal()
    store.loses_answers = False
    await halted.issue(SubjectId("another"))

    await seal_all(halted)

    assert await sealed(halted) == await told(halted)


async def tell_more_than_two_links_take(node: TestDeployment) -> None:
    store = node.services.store
    event = (await store.events(after=0, limit=1))[0][1]
    for _ in range(5):
        await store.apply(Change(partition=event.partition, expects={}, events=[event] * (MOST_ENTRIES // 2)))


async def test_who_was_stopped_between_the_links_of_what_it_had_read_cannot_fork_the_chain() -> None:
    halted, store, other = await halting_and_other()
    await seal_all(halted)
    await tell_more_than_two_links_take(halted)
    store.gate, store.links_before_the_gate = asyncio.Event(), 1
    sealing = asyncio.create_task(seal_all(halted))
    await store.reached.wait()
    assert len(await links_of(other)) == 2
    other.clock.advance(milliseconds=LEASE_MS)
    await seal_all(other)

    store.gate.set()
    await sealing
    await other.issue()
    await seal_all(halted)
    await seal_all(other)

    assert await sealed(other) == await told(other)


@pytest.mark.parametrize("answered", [True, False], ids=["the write was not made", "its answer was lost"])
@pytest.mark.parametrize("heir", ["the same node", "another node"])
async def test_what_was_read_at_once_and_sealed_in_part_is_sealed_on_where_it_broke_off(
    heir: str, *, answered: bool
) -> None:
    halted, store, other = await halting_and_other()
    await seal_all(halted)
    await tell_more_than_two_links_take(halted)
    store.links_before_it_breaks = 1 if answered else None
    store.loses_answers = not answered
    with pytest.raises(Unavailable):
        await halted.services.sealer.seal()
    store.links_before_it_breaks, store.loses_answers = None, False
    assert len(await links_of(other)) == 2
    node = halted
    if heir == "another node":
        other.clock.advance(milliseconds=LEASE_MS)
        node = other

    await node.issue()
    await seal_all(node)

    assert await sealed(node) == await told(node)
    counted = halted.services.sealer.sealed + other.services.sealer.sealed
    assert counted.total() == len(await told(node)) - (0 if answered else MOST_ENTRIES)


class Reticent:
    """A store that tells nothing but to who looks everywhere; everything else is the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store's is
        return getattr(self._store, name)

    async def follow(self, mark: bytes, *, limit: int, everywhere: bool) -> object:
        return await self._store.follow(mark, limit=limit) if everywhere else ([], mark)


async def test_what_nobody_told_of_is_sealed_when_everything_is_looked_at_and_not_said_to_be_before() -> None:
    other = await TestDeployment.born(seed="two")
    store = cast("Store", Reticent(other.services.store))
    node = await TestDeployment.born(store=store, clock=other.clock, seed="one")
    await seal_all(node)
    looked_at = node.clock.now()
    await node.issue()
    node.clock.advance(milliseconds=LOOKED_EVERY_MS - 1)
    await seal_all(node)
    await node.services.sealer.release()
    lease = await store.get(lease_key())
    assert isinstance(lease, Lease)
    assert lease.sealed_until == looked_at
    assert len(await sealed(node)) < len(await told(node))

    await seal_all(node)  # it takes the lease again, and knows nothing

    assert await sealed(node) == await told(node)
    await node.issue(SubjectId("another"))
    node.clock.advance(milliseconds=LOOKED_EVERY_MS)
    await seal_all(node)
    assert await sealed(node) == await told(node)


async def test_everything_is_looked_at_too_when_the_clock_was_set_back() -> None:
    other = await TestDeployment.born(seed="two")
    store = cast("Store", Reticent(other.services.store))
    node = await TestDeployment.born(store=store, clock=other.clock, seed="one")
    await seal_all(node)
    await node.issue()

    node.clock.step(hours=-1)
    await seal_all(node)

    assert await sealed(node) == await told(node)


@pytest.mark.parametrize("rounds", [40])
async def test_nodes_that_race_for_the_lease_seal_everything_once(rounds: int) -> None:
    one, two = await two_nodes()
    nodes = (one, two, await TestDeployment.born(store=one.services.store, clock=one.clock, seed="three"))
    for n in range(rounds):
        await nodes[n % 3].issue(SubjectId(f"user-{n % 7}"))
        start = asyncio.Barrier(len(nodes))

        async def race(node: TestDeployment, start: asyncio.Barrier = start) -> None:
            await start.wait()
            await seal_all(node)

        await asyncio.gather(*map(race, nodes))
        one.clock.advance(milliseconds=LEASE_MS // (1 + n % 3))
    one.clock.advance(milliseconds=LEASE_MS)
    await seal_all(two)

    assert await sealed(two) == await told(two)


async def test_the_heads_that_are_new_are_told_once(deployment: TestDeployment) -> None:
    await seal_all(deployment)
    [head] = deployment.services.sealer.take_new_heads()

    assert head.digest == (await links_of(deployment))[-1].digest()
    assert head.signature
    assert deployment.services.sealer.take_new_heads() == []
