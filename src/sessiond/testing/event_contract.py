"""Contract: `events` and `newest_event`, the outbox."""

# ruff: noqa: D102, S101, PLR2004  a test's name is its sentence, and it is made of asserts and literal values

from __future__ import annotations

import asyncio

import msgspec
import pytest

from sessiond.domain.errors import Conflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId
from sessiond.services.ports import Change, Store
from sessiond.testing import samples
from sessiond.testing.samples import NOW


class EventContract:
    """What holds for events."""

    async def test_an_event_is_read_back_member_by_member(self, store: Store) -> None:
        bare = samples.event(EventType.CLOCK_STEPPED)
        bare = type(bare)(type=bare.type, at=NOW, partition=Partition(0), project=DEFAULT_PROJECT)
        full = samples.event()
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=[full, bare]))
        assert [event for _, event in await store.events(after=0, limit=9)] == [full, bare]

    async def test_events_are_written_in_the_change_they_tell_of(self, store: Store) -> None:
        alice = samples.subject()
        await store.apply(samples.put(alice, events=(samples.event(),)))
        with pytest.raises(Conflict):
            await store.apply(samples.put(alice, events=(samples.event(),)))
        assert len(await store.events(after=0, limit=9)) == 1

    async def test_events_come_oldest_first_above_a_sequence_and_bounded(self, store: Store) -> None:
        told = [samples.event(at=NOW + n) for n in range(5)]
        for event in told:
            await store.apply(Change(partition=samples.PARTITION, expects={}, events=[event]))
        everything = await store.events(after=0, limit=9)
        assert [event for _, event in everything] == told
        second = everything[1][0]
        assert await store.events(after=second, limit=2) == everything[2:4]
        assert list(await store.events(after=everything[-1][0], limit=9)) == []

    async def test_sequences_rise_strictly_within_a_partition(self, store: Store) -> None:
        changes = [
            Change(partition=samples.PARTITION, expects={}, events=[samples.event(), samples.event()])
            for _ in range(6)
        ]
        await asyncio.gather(*map(store.apply, changes))
        sequences = [sequence for sequence, _ in await store.events(after=0, limit=99)]
        assert len(sequences) == len(set(sequences)) == 12
        assert sequences == sorted(sequences)

    async def test_events_can_be_of_one_project(self, store: Store) -> None:
        ours, theirs = samples.event(), samples.event(project=samples.OTHER_PROJECT)
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=[ours, theirs]))
        found = await store.events(after=0, limit=9, project=samples.OTHER_PROJECT)
        assert [event for _, event in found] == [theirs]
        assert len(await store.events(after=0, limit=9, project=DEFAULT_PROJECT)) == 1

    async def test_events_can_be_of_one_partition(self, store: Store) -> None:
        here = [samples.event(at=NOW + n) for n in range(3)]
        there = samples.event(partition=samples.ELSEWHERE)
        for event in (here[0], there, *here[1:]):
            await store.apply(Change(partition=event.partition, expects={}, events=[event]))
        found = await store.events(after=0, limit=9, partition=samples.PARTITION)
        assert [event for _, event in found] == here
        rest = await store.events(after=found[0][0], limit=1, partition=samples.PARTITION)
        assert rest == found[1:2]
        assert [
            event
            for _, event in await store.events(
                after=0, limit=9, partition=samples.ELSEWHERE, project=samples.OTHER_PROJECT
            )
        ] == []

    async def test_events_are_followed_from_mark_to_mark(self, store: Store) -> None:
        told = [
            samples.event(at=NOW + n, partition=where, project=project)
            for n, (where, project) in enumerate(
                [(samples.PARTITION, DEFAULT_PROJECT), (samples.ELSEWHERE, samples.OTHER_PROJECT)] * 3
            )
        ]
        for event in told[:4]:
            await store.apply(Change(partition=event.partition, expects={}, events=[event]))
        first, mark = await store.follow(b"", limit=3)
        for event in told[4:]:
            await store.apply(Change(partition=event.partition, expects={}, events=[event]))
        rest, mark = await store.follow(mark, limit=9)
        found = [*first, *rest]
        for where in (samples.PARTITION, samples.ELSEWHERE):
            own = [row for row in found if row[1].partition == where]
            assert [event for _, event in own] == [event for event in told if event.partition == where]
            assert own == list(await store.events(after=0, limit=9, partition=where))
        assert len(found) == len(told)
        assert await store.follow(mark, limit=9) == ([], mark)

    @pytest.mark.parametrize("limit", [1, 40, 69, 71])
    async def test_fewer_than_asked_for_are_told_only_where_there_are_no_more(
        self, store: Store, limit: int
    ) -> None:
        for place in (Partition(n) for n in range(31)):
            events = [samples.event(at=NOW + n, partition=place) for n in range(40 if place == 7 else 1)]
            await store.apply(Change(partition=place, expects={}, events=events))
        told, mark = await store.follow(b"", limit=limit)
        rest, _ = await store.follow(mark, limit=99)
        assert len(told) == min(limit, 70)
        numbers = [(sequence, event.partition) for sequence, event in [*told, *rest]]
        assert len(numbers) == len(set(numbers)) == 70
        own = [sequence for sequence, partition in numbers if partition == 7]
        assert own == sorted(own)

    async def test_what_was_told_of_is_followed_without_looking_everywhere(self, store: Store) -> None:
        mark, followed = b"", list[tuple[int, Event]]()
        for n in range(3):
            for place in (Partition(n), samples.PARTITION, Partition(20)):
                await store.apply(Change.telling(samples.event(at=NOW + n, partition=place)))
            await store.newest_event()
            page, mark = await store.follow(mark, limit=9, everywhere=False)
            assert len(page) == 3
            followed += page
        assert sorted(followed, key=lambda each: each[0]) == list(await store.events(after=0, limit=99))
        assert await store.follow(mark, limit=9) == ([], mark)

    async def test_whoever_follows_while_others_write_misses_nothing(self, store: Store) -> None:
        async def write(partition: Partition) -> None:
            for n in range(10):
                event = samples.event(at=NOW + n, partition=partition)
                await store.apply(Change(partition=partition, expects={}, events=[event]))

        places = [Partition(17 + n) for n in range(8)]
        writing = asyncio.gather(*map(write, places))
        found: list[tuple[int, Partition]] = []
        mark, over = b"", False
        while not over:
            over = writing.done()  # what is read from now on is all there is
            while (page := await store.follow(mark, limit=7))[0]:
                found += [(sequence, event.partition) for sequence, event in page[0]]
                mark = page[1]
            await asyncio.sleep(0)
        await writing
        assert len(found) == len(set(found)) == 80
        for place in places:
            own = [sequence for sequence, partition in found if partition == place]
            assert own == sorted(own)

    async def test_an_event_is_rewritten_where_it_stands(self, store: Store) -> None:
        told = [samples.event(at=NOW + n) for n in range(3)]
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=told))
        before = await store.events(after=0, limit=9)
        renamed = msgspec.structs.replace(told[1], subject=SubjectId("erased"), by="erased", data={"n": 1})
        bare = msgspec.structs.replace(told[2], session=None, subject=None, data={})
        await store.rewrite_events([(before[1][0], renamed), (before[2][0], bare)])
        numbers = [sequence for sequence, _ in before]
        assert await store.events(after=0, limit=9) == list(
            zip(numbers, [told[0], renamed, bare], strict=True)
        )
        assert await store.newest_event() == numbers[-1]

    async def test_an_event_that_is_not_there_is_not_rewritten(self, store: Store) -> None:
        told = samples.event()
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=[told]))
        before = await store.events(after=0, limit=9)
        (number, _), elsewhere = before[0], samples.event(partition=samples.ELSEWHERE)
        await store.rewrite_events([(number + 1, told), (number, elsewhere)])
        await store.rewrite_events([])
        assert await store.events(after=0, limit=9) == before
        assert list(await store.events(after=0, limit=9, partition=samples.ELSEWHERE)) == []

    async def test_the_newest_event_is_zero_and_then_the_highest_sequence(self, store: Store) -> None:
        assert await store.newest_event() == 0
        await store.apply(
            Change(partition=samples.PARTITION, expects={}, events=[samples.event(), samples.event()])
        )
        assert await store.newest_event() == (await store.events(after=0, limit=9))[-1][0]

    async def test_the_newest_event_never_falls(self, store: Store) -> None:
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=[samples.event()]))
        newest = await store.newest_event()
        assert await store.purge_events(before=NOW + 1, limit=9) == 1
        assert await store.newest_event() == newest
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=[samples.event()]))
        assert await store.newest_event() > newest
