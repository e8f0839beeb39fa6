"""Natural batching, shown with a runner that finishes when the test says so."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.records import Key, Kind
from sessiond.storage.batching import LARGEST_BATCH, Batcher
from sessiond.testing import samples


class Note(NamedTuple):
    """An operation that writes the tallies of these names."""

    names: str

    @property
    def keys(self) -> Sequence[Key]:
        return [Key(Kind.TALLY, samples.PARTITION, DEFAULT_PROJECT, name.encode()) for name in self.names]


class Engine:
    """Holds each batch until the test finishes it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._done: Callable[[Sequence[object]], None] | None = None

    def run(self, operations: Sequence[Note], done: Callable[[Sequence[object]], None]) -> None:
        assert self._done is None, "a batch was started while another is in flight"
        self.batches.append([operation.names for operation in operations])
        self._done = done

    def finish(self, outcomes: Sequence[object] | None = None) -> None:
        done, self._done = self._done, None
        assert done is not None
        done(outcomes if outcomes is not None else self.batches[-1])


@pytest.fixture
async def engine() -> Engine:
    return Engine()


@pytest.fixture
async def batcher(engine: Engine) -> Batcher[Note]:
    return Batcher(engine.run)


async def turn() -> None:
    """Let the loop run what is ready, and what that has asked for."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def submit(batcher: Batcher[Note], name: str) -> None:
    """Submit as a task does that was made for a request."""
    batcher.submit(Note(name))


async def test_what_arrives_in_one_turn_of_the_loop_is_one_batch(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    for name in "abc":
        batcher.submit(Note(name))
    await turn()
    assert engine.batches == [["a", "b", "c"]]


async def test_what_is_asked_for_by_requests_that_begin_in_that_turn_goes_too(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    batcher.submit(Note("a"))
    later = asyncio.create_task(submit(batcher, "b"))
    await turn()
    assert engine.batches == [["a", "b"]]
    await later


async def test_what_requests_ask_for_that_came_with_an_answer_goes_with_what_waited_for_it(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    batcher.submit(Note("a"))
    await turn()
    batcher.submit(Note("b"))
    engine.finish()
    begun = asyncio.create_task(submit(batcher, "c"))
    await turn()
    assert engine.batches == [["a"], ["b", "c"]]
    await begun


async def test_what_arrives_while_a_batch_is_in_flight_is_the_next(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    first = batcher.submit(Note("a"))
    await turn()
    later = [batcher.submit(Note(name)) for name in "bc"]
    await turn()
    assert engine.batches == [["a"]]
    engine.finish()
    assert await first == "a"
    await turn()
    assert engine.batches == [["a"], ["b", "c"]]
    engine.finish()
    assert await asyncio.gather(*later) == ["b", "c"]


async def test_a_batch_is_in_the_order_in_which_it_came(engine: Engine, batcher: Batcher[Note]) -> None:
    for name in "cab":
        batcher.submit(Note(name))
    await turn()
    assert engine.batches == [["c", "a", "b"]]


async def test_writes_of_one_record_come_in_separate_batches_and_in_order(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    for names in ("a", "ab", "b", "c"):
        batcher.submit(Note(names))
    await turn()
    for _ in range(2):
        engine.finish()
        await turn()
    assert engine.batches == [["a", "c"], ["ab"], ["b"]]


async def test_a_batch_is_bounded(engine: Engine, batcher: Batcher[Note]) -> None:
    for n in range(LARGEST_BATCH + 3):
        batcher.submit(Note(chr(n + 0x100)))
    await turn()
    engine.finish()
    await turn()
    assert [len(batch) for batch in engine.batches] == [LARGEST_BATCH, 3]


async def test_however_many_wait_for_one_record_whoever_writes_another_goes_at_once(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    for name in "a" * 2 * LARGEST_BATCH + "b":
        batcher.submit(Note(name))
    await turn()
    assert engine.batches == [["a", "b"]]


async def test_each_operation_succeeds_or_fails_alone(engine: Engine, batcher: Batcher[Note]) -> None:
    waiters = [batcher.submit(Note(name)) for name in "abc"]
    await turn()
    engine.finish([1, Conflict("b"), None])
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(result) for result in results] == [int, Conflict, type(None)]


async def test_a_waiter_that_goes_away_spoils_nothing(engine: Engine, batcher: Batcher[Note]) -> None:
    gone, stays = batcher.submit(Note("a")), batcher.submit(Note("b"))
    await turn()
    gone.cancel()
    engine.finish()
    assert await stays == "b"
    again = batcher.submit(Note("a"))
    await turn()
    engine.finish()
    assert await again == "a"


async def test_a_runner_that_fails_fails_its_batch_and_not_the_next() -> None:
    failures = [Unavailable("store_unavailable", "down")]

    def run(operations: Sequence[Note], done: Callable[[Sequence[object]], None]) -> None:
        if failures:
            raise failures.pop()
        done([operation.names for operation in operations])

    batcher = Batcher(run)
    with pytest.raises(Unavailable):
        await batcher.submit(Note("a"))
    assert await batcher.submit(Note("b")) == "b"


async def test_close_waits_for_what_was_accepted_and_accepts_nothing_more(
    engine: Engine, batcher: Batcher[Note]
) -> None:
    accepted = batcher.submit(Note("a"))
    await turn()
    waiting = batcher.submit(Note("b"))
    closing = asyncio.create_task(batcher.close())
    await turn()
    with pytest.raises(Unavailable):
        batcher.submit(Note("c"))
    assert not closing.done()
    engine.finish()
    await turn()
    assert not closing.done()
    engine.finish()
    await closing
    assert (await accepted, await waiting) == ("a", "b")


async def test_closing_what_is_idle_returns_at_once(batcher: Batcher[Note]) -> None:
    await asyncio.wait_for(batcher.close(), 120)
