"""What happened is sealed once, by one node at a time, whoever told of it and whenever."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sessiond.domain.audit_chain import LEASE_MS, Lease, lease_key
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.services.audit_sealing import LOOKED_EVERY_MS
from sessiond.services.ports import Store
from tests.deployment import BY, TestDeployment
from tests.services.sealing import links_of, seal_all, sealed, told, two_nodes


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
