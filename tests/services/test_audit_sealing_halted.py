"""A node that is stopped in the middle of its sealing, or whose answer is lost, cannot fork the chain."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from sessiond.domain.audit_chain import LEASE_MS, MOST_ENTRIES, Link
from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import SubjectId
from sessiond.services.audit_lease import SealingLease
from sessiond.services.ports import Change, Store
from sessiond.storage.engine import unavailable
from tests.deployment import SetClock, TestDeployment
from tests.services.sealing import links_of, seal_all, sealed, told


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


@pytest.mark.parametrize("heir", ["the same node", "another node"])
async def test_a_head_is_told_of_though_who_wrote_it_never_heard_of_that(heir: str) -> None:
    halted, store, other = await halting_and_other()
    await seal_all(halted)
    halted.services.sealer.take_new_heads()
    await halted.issue()
    store.loses_answers = True
    with pytest.raises(Unavailable):
        await halted.services.sealer.seal()
    store.loses_answers = False
    node = halted
    if heir == "another node":
        other.clock.advance(milliseconds=LEASE_MS)
        node = other

    await seal_all(node)

    newest = (await links_of(node))[-1]
    assert [head.digest for head in node.services.sealer.take_new_heads()] == [newest.digest()]


async def test_a_lease_that_was_written_by_a_call_that_was_given_up_is_its_writer_s_all_the_same(
    deployment: TestDeployment,
) -> None:
    store, keys, clock = deployment.services.store, deployment.services.keys, deployment.services.clock
    one, other = (SealingLease(store, keys, clock, name=name) for name in ("one", "other"))
    given_up = await one.held(None)

    again = await one.held(None)

    assert given_up is not None
    assert again is not None
    assert again.lease.fence > given_up.lease.fence
    assert await other.held(None) is None
