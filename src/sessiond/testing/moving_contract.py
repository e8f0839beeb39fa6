"""Contract: what the mover needs, `sessiond.services.movable`."""

# ruff: noqa: D102, S101, PLR2004  a test's name is its sentence, and it is made of asserts and literal values

from __future__ import annotations

from typing import cast

import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.events import Event
from sessiond.domain.ids import Partition
from sessiond.domain.records import Key, Record
from sessiond.services.movable import BEGINNING, MovableStore
from sessiond.services.ports import Change, Store, Touch
from sessiond.testing import samples
from sessiond.testing.samples import NOW


def told(*events: Event) -> Change:
    """Return the change that only tells of *events*, which are of one partition."""
    return Change(partition=events[0].partition, expects={}, events=events)


class MovingContract:
    """What holds for a store that is copied, filled and left."""

    @pytest.fixture
    def movable(self, store: Store) -> MovableStore:
        return cast("MovableStore", store)

    @staticmethod
    async def fill(store: Store) -> list[Record]:
        """Write some of everything into *store*, and return the records."""
        records: list[Record] = [
            samples.deployment(),
            samples.project(),
            samples.project(samples.OTHER_PROJECT),
            samples.subject(),
            samples.subject(project=samples.OTHER_PROJECT),
            samples.full_session(),
            samples.tally(bob=NOW),
            *(samples.session(id=samples.session_id(NOW - n, Partition(700 * n))) for n in range(5)),
        ]
        for record in records:
            await store.apply(samples.put(record, events=(samples.event(partition=record.key.partition),)))
        return records

    @pytest.mark.parametrize("limit", [1, 3, 99])
    async def test_a_walk_meets_every_record_and_every_event_once(
        self, movable: MovableStore, limit: int
    ) -> None:
        records = await self.fill(movable)
        met: list[Record] = []
        heard: list[tuple[int, Event]] = []
        place: str | None = BEGINNING
        while place is not None:
            stretch = await movable.walk(place, limit=limit)
            met += stretch.records
            heard += stretch.events
            place = stretch.place
        assert sorted(met, key=lambda record: record.key) == sorted(records, key=lambda record: record.key)
        assert sorted(heard, key=_number) == sorted(await movable.events(after=0, limit=99), key=_number)
        assert len(heard) == len(records)

    async def test_a_walk_goes_on_behind_what_is_removed_meanwhile(self, movable: MovableStore) -> None:
        sessions = [samples.session(id=samples.session_id(NOW + n)) for n in range(4)]
        for session in sessions:
            await movable.apply(samples.put(session))
        met: list[Key] = []
        place: str | None = BEGINNING
        while place is not None:
            stretch = await movable.walk(place, limit=1)
            met += [record.key for record in stretch.records]
            for record in stretch.records:
                await movable.apply(samples.delete(record.key, 1))
            place = stretch.place
        assert sorted(met) == sorted(session.key for session in sessions)

    async def test_a_walk_through_nothing_ends(self, movable: MovableStore) -> None:
        place: str | None = BEGINNING
        while place is not None:
            stretch = await movable.walk(place, limit=9)
            assert (list(stretch.records), list(stretch.events)) == ([], [])
            place = stretch.place

    async def test_an_adopted_event_stands_where_it_stood(self, movable: MovableStore) -> None:
        here, there = samples.event(), samples.event(partition=samples.ELSEWHERE)
        await movable.adopt_events([(7, here), (7, there), (9, here)], newest=0)
        assert await movable.find_events(
            [(samples.PARTITION, 7), (samples.ELSEWHERE, 7), (samples.ELSEWHERE, 9), (samples.PARTITION, 9)]
        ) == [here, there, None, here]
        assert await movable.events(after=0, limit=9, partition=samples.PARTITION) == [(7, here), (9, here)]
        assert await movable.events(after=7, limit=9, partition=samples.ELSEWHERE) == []
        assert len(await movable.events(after=0, limit=9)) == 3

    async def test_adopting_again_replaces(self, movable: MovableStore) -> None:
        former, later = samples.event(), samples.event(at=NOW + 1)
        for event in (former, later):
            await movable.adopt_events([(7, event)], newest=0)
        assert await movable.events(after=0, limit=9) == [(7, later)]

    async def test_sequences_go_on_above_what_was_adopted(self, movable: MovableStore) -> None:
        event = samples.event()
        await movable.adopt_events([(7, event)], newest=0)
        assert await movable.newest_event() == 7
        await movable.apply(told(event))
        (second, _) = (await movable.events(after=7, limit=9))[0]
        await movable.adopt_events([], newest=second + 5)
        assert await movable.newest_event() >= second + 5
        await movable.adopt_events([], newest=1)
        assert await movable.newest_event() >= second + 5

    async def test_dropped_events_are_gone_and_their_sequences_are_not_given_again(
        self, movable: MovableStore
    ) -> None:
        await movable.apply(told(samples.event(), samples.event()))
        (first, kept), (last, _) = await movable.events(after=0, limit=9)
        newest = await movable.newest_event()
        await movable.drop_events([(samples.PARTITION, last), (samples.ELSEWHERE, first)])
        assert await movable.events(after=0, limit=9) == [(first, kept)]
        assert await movable.newest_event() == newest
        await movable.apply(told(samples.event()))
        assert (await movable.events(after=first, limit=9))[0][0] > last

    async def test_a_mark_of_another_engine_misses_nothing_and_tells_nothing_twice(
        self, movable: MovableStore
    ) -> None:
        # Followed up to 7, in one partition further: to 40. What was moved here meanwhile has equal sequences.
        mark = (7).to_bytes(8) + samples.PARTITION.to_bytes(2) + (40).to_bytes(8)
        places = [samples.PARTITION, *(Partition(n) for n in range(8))]
        moved = [(at, samples.event(partition=place)) for at in (7, 8, 40, 41) for place in places]
        await movable.adopt_events(moved, newest=0)
        followed: list[tuple[int, Event]] = []
        while (page := await movable.follow(mark, limit=3))[0]:
            followed += page[0]
            mark = page[1]
        await movable.apply(told(samples.event()))
        followed += (await movable.follow(mark, limit=3))[0]
        numbers = [_number(each) for each in followed]
        known = {(samples.PARTITION, 8), (samples.PARTITION, 40)}
        assert len(numbers) == len(set(numbers))
        assert set(numbers[:-1]) == {_number(each) for each in moved if each[0] > 7} - known
        assert numbers[-1][0] == samples.PARTITION

    async def test_behind_a_fence_nothing_is_written_and_everything_is_read(
        self, movable: MovableStore
    ) -> None:
        session, subject = samples.session(), samples.subject()
        await movable.apply(samples.put(session, subject, events=(samples.event(),)))
        before = await movable.events(after=0, limit=9)
        (number, event) = before[0]
        await movable.fence(up=True)
        await movable.fence(up=True)
        for write in (
            lambda: movable.apply(samples.put(samples.session())),
            lambda: movable.apply(samples.put(samples.renewed(subject, 5))),
            lambda: movable.apply(samples.delete(session.key, 1)),
            lambda: movable.apply(told(samples.event())),
            lambda: movable.revoke([samples.revocation(session)]),
            lambda: movable.touch(
                [Touch(project=session.project, session=session.id, seen_at=NOW + 9, generation=0)]
            ),
            lambda: movable.rewrite_events([(number, samples.event(at=NOW + 5))]),
            lambda: movable.purge_events(before=NOW + 9, limit=9),
            lambda: movable.purge(
                ended_before=session.expires_at + 1, due_before=session.expires_at, limit=9
            ),
        ):
            with pytest.raises(Unavailable, match="moved"):
                await write()
        assert await movable.get_many([session.key, subject.key]) == [session, subject]
        assert await movable.events(after=0, limit=9) == before == [(number, event)]

    async def test_a_fence_is_taken_down_again(self, movable: MovableStore) -> None:
        session = samples.session()
        await movable.fence(up=True)
        await movable.fence(up=False)
        await movable.fence(up=False)
        await movable.apply(samples.put(session, events=(samples.event(),)))
        assert await movable.get(session.key) == session


def _number(numbered: tuple[int, Event]) -> tuple[Partition, int]:
    return numbered[1].partition, numbered[0]
