"""Contract: `get`, `get_many` and `apply`, the compare-and-swap within a partition; `check` and `close`."""

# ruff: noqa: D102, S101  a test's name is its sentence, and it is made of asserts

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.records import Key, Kind, Record
from sessiond.services.ports import Change, Selection, Store
from sessiond.testing import samples


def _renamed(record: Record, name: str) -> Record:
    return msgspec.structs.replace(record, name=name, version=record.version + 1)


class RecordContract:
    """What holds for records of every kind."""

    async def test_get_answers_none_for_what_is_absent(self, store: Store) -> None:
        assert await store.get(samples.subject().key) is None

    @pytest.mark.parametrize(
        "record",
        [
            samples.full_session(),
            samples.session(),
            samples.subject(),
            samples.project(),
            samples.deployment(),
            samples.tally(a=1, b=2),
        ],
        ids=lambda record: record.kind,
    )
    async def test_what_was_put_is_read_back_member_by_member(self, store: Store, record: Record) -> None:
        await store.apply(samples.put(record))
        assert await store.get(record.key) == record
        assert await store.get_many([record.key]) == [record]

    async def test_get_many_keeps_the_order_and_answers_none_where_absent(self, store: Store) -> None:
        alice, session = samples.subject(), samples.session()
        await store.apply(samples.put(alice, session))
        absent = Key(Kind.TALLY, samples.PARTITION, DEFAULT_PROJECT, b"absent")
        keys = [session.key, absent, alice.key, session.key]
        assert await store.get_many(keys) == [session, None, alice, session]
        assert list(await store.get_many([])) == []

    async def test_every_part_of_a_key_tells_records_apart(self, store: Store) -> None:
        mine = samples.subject()
        await store.apply(samples.put(mine))
        foreign = samples.subject(project=samples.OTHER_PROJECT)
        assert await store.get(foreign.key) is None
        assert await store.get(msgspec.structs.replace(mine.key, kind=Kind.PIN)) is None
        assert await store.get(msgspec.structs.replace(mine.key, partition=samples.ELSEWHERE)) is None
        assert await store.get(msgspec.structs.replace(mine.key, id=b"alic")) is None
        await store.apply(samples.put(foreign))
        assert await store.get_many([mine.key, foreign.key]) == [mine, foreign]

    async def test_a_record_expected_to_be_absent_is_not_put_over_one_that_is_there(
        self, store: Store
    ) -> None:
        for record in (samples.subject(), samples.session()):
            await store.apply(samples.put(record))
            with pytest.raises(Conflict):
                await store.apply(samples.put(record))
            assert await store.get(record.key) == record

    async def test_a_put_replaces_the_record_whole(self, store: Store) -> None:
        first = samples.subject()
        await store.apply(samples.put(first))
        second = msgspec.structs.replace(first, name=None, hint="h", version=2)
        await store.apply(samples.put(second))
        assert await store.get(first.key) == second

    @pytest.mark.parametrize("version", [1, 3])
    async def test_a_put_over_another_version_than_expected_is_a_conflict(
        self, store: Store, version: int
    ) -> None:
        first = samples.subject()
        second = _renamed(first, "second")
        await store.apply(samples.put(first))
        await store.apply(samples.put(second))
        third = _renamed(second, "third")
        with pytest.raises(Conflict):
            await store.apply(Change(partition=samples.PARTITION, expects={first.key: version}, puts=[third]))
        assert await store.get(first.key) == second

    async def test_a_record_that_is_gone_is_a_conflict_for_whoever_expects_it(self, store: Store) -> None:
        with pytest.raises(Conflict):
            await store.apply(samples.put(_renamed(samples.subject(), "second")))
        with pytest.raises(Conflict):
            await store.apply(samples.delete(samples.session().key, 1))

    async def test_a_conflict_writes_nothing_of_the_change(self, store: Store) -> None:
        alice, session = samples.subject(), samples.session()
        await store.apply(samples.put(alice))
        change = samples.put(session, alice, samples.tally(a=1), events=(samples.event(),))
        with pytest.raises(Conflict):
            await store.apply(change)
        assert await store.get_many([session.key, samples.tally().key]) == [None, None]
        assert await store.newest_event() == 0

    async def test_a_key_that_is_only_expected_is_a_guard(self, store: Store) -> None:
        alice, session = samples.subject(), samples.session()
        await store.apply(samples.put(alice))
        for version in (0, 2):
            with pytest.raises(Conflict):
                await store.apply(
                    Change(
                        partition=samples.PARTITION,
                        expects={alice.key: version, session.key: 0},
                        puts=[session],
                    )
                )
        guarded = Change(partition=samples.PARTITION, expects={alice.key: 1, session.key: 0}, puts=[session])
        await store.apply(guarded)
        assert await store.get_many([alice.key, session.key]) == [alice, session]

    async def test_a_session_can_be_a_guard(self, store: Store) -> None:
        alice, session = samples.subject(), samples.session()
        guarded = Change(partition=samples.PARTITION, expects={alice.key: 0, session.key: 1}, puts=[alice])
        with pytest.raises(Conflict):
            await store.apply(guarded)
        await store.apply(samples.put(session))
        await store.apply(guarded)
        assert await store.get(alice.key) == alice

    async def test_what_is_deleted_is_absent_and_can_be_put_again(self, store: Store) -> None:
        for record in (samples.subject(), samples.session()):
            await store.apply(samples.put(record))
            with pytest.raises(Conflict):
                await store.apply(samples.delete(record.key, 2))
            await store.apply(samples.delete(record.key, 1))
            assert await store.get(record.key) is None
            await store.apply(samples.put(record))
            assert await store.get(record.key) == record

    async def test_a_change_may_put_delete_and_tell_at_once(self, store: Store) -> None:
        alice, session, tally = samples.subject(), samples.session(), samples.tally(a=1)
        await store.apply(samples.put(tally))
        change = Change(
            partition=samples.PARTITION,
            expects={alice.key: 0, session.key: 0, tally.key: 1},
            puts=[alice, session],
            deletes=[tally.key],
            events=[samples.event()],
        )
        await store.apply(change)
        assert await store.get_many([alice.key, session.key, tally.key]) == [alice, session, None]
        assert len(await store.events(after=0, limit=9)) == 1

    async def test_a_write_that_is_not_expected_is_a_value_error(self, store: Store) -> None:
        alice = samples.subject()
        with pytest.raises(ValueError, match="expectation"):
            await store.apply(Change(partition=samples.PARTITION, expects={}, puts=[alice]))
        with pytest.raises(ValueError, match="expectation"):
            await store.apply(Change(partition=samples.PARTITION, expects={}, deletes=[alice.key]))
        assert await store.get(alice.key) is None

    async def test_a_write_in_another_partition_is_a_value_error(self, store: Store) -> None:
        alice, foreign = samples.subject(), samples.subject(partition=Partition(7))
        change = Change(
            partition=samples.PARTITION, expects={alice.key: 0, foreign.key: 0}, puts=[alice, foreign]
        )
        with pytest.raises(ValueError, match="partition"):
            await store.apply(change)
        assert await store.get_many([alice.key, foreign.key]) == [None, None]

    async def test_of_writers_at_once_who_expect_the_same_one_wins(self, store: Store) -> None:
        alice = samples.subject()
        await store.apply(samples.put(alice))
        changes = [samples.put(_renamed(alice, f"writer {n}")) for n in range(8)]
        results = await asyncio.gather(*map(store.apply, changes), return_exceptions=True)
        winners = [n for n, result in enumerate(results) if result is None]
        assert len(winners) == 1
        assert all(isinstance(result, Conflict) for result in results if result is not None)
        assert await store.get(alice.key) == _renamed(alice, f"writer {winners[0]}")

    async def test_changes_at_once_succeed_or_fail_each_alone(self, store: Store) -> None:
        taken = samples.subject()
        await store.apply(samples.put(taken))
        free = [samples.session() for _ in range(20)]
        changes = [samples.put(taken), *map(samples.put, free), samples.put(taken)]
        results = await asyncio.gather(*map(store.apply, changes), return_exceptions=True)
        assert [type(result) for result in results] == [Conflict, *[type(None)] * 20, Conflict]
        assert await store.get_many([session.key for session in free]) == free

    async def test_births_and_rotations_at_once_succeed_or_fail_each_alone(self, store: Store) -> None:
        there, old, absent, born = (samples.session() for _ in range(4))
        await store.apply(samples.put(there))
        await store.apply(samples.put(old))
        before = await store.newest_event()

        newer, late = (each.rotated(now=samples.NOW + 1, kid=5) for each in (old, absent))
        changes = [samples.put(each, events=(samples.event(),)) for each in (there, late, born, newer)]
        results = await asyncio.gather(*map(store.apply, changes), return_exceptions=True)

        assert [type(result) for result in results] == [Conflict, Conflict, type(None), type(None)]
        assert await store.get_many([each.key for each in (there, absent, born, old)]) == [
            there,
            None,
            born,
            newer,
        ]
        assert len(await store.events(after=before, limit=9)) == results.count(None)

    async def test_a_waiter_that_goes_away_spoils_nothing(self, store: Store) -> None:
        records = [samples.session() for _ in range(10)]
        tasks = [asyncio.create_task(store.apply(samples.put(record))) for record in records]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stayed = [record.key for record in records[1::2]]
        assert await store.get_many(stayed) == records[1::2]
        late = samples.session()
        await store.apply(samples.put(late))
        assert await store.get(late.key) == late

    async def test_a_store_that_is_open_passes_its_check(self, store: Store) -> None:
        store.check()

    async def test_what_a_write_rests_on_is_words_or_nothing(self, store: Store) -> None:
        await store.apply(samples.put(samples.session()))
        words = store.durability()
        assert words is None or "\n" not in words

    async def test_what_is_written_is_measured(self, store: Store) -> None:
        await store.apply(samples.put(samples.session()))
        before = store.measures().writes
        await store.apply(samples.put(samples.session()))
        after = store.measures().writes
        if before is None or after is None:
            assert before is after
            return
        assert after.operations == before.operations + 1
        assert sum(after.durations.counts) == sum(before.durations.counts) + 1
        assert after.durations.total_ns > before.durations.total_ns
        assert after.waiting == 0

    async def test_close_finishes_what_was_accepted(self, store: Store) -> None:
        applying = [asyncio.create_task(store.apply(samples.put(samples.session()))) for _ in range(5)]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*applying) == [None] * 5

    async def test_a_closed_store_refuses_everything_and_closes_again(self, store: Store) -> None:
        session = samples.session()
        await store.apply(samples.put(session))
        await store.close()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.get(session.key),
            lambda: store.get_many([session.key]),
            lambda: store.find_session(DEFAULT_PROJECT, session.id),
            lambda: store.list_by_subject(DEFAULT_PROJECT, session.subject),
            lambda: store.scan(Selection(kind=Kind.SESSION), limit=1),
            lambda: store.count(Selection(kind=Kind.SESSION)),
            lambda: store.apply(samples.put(samples.subject())),
            lambda: store.revoke([samples.revocation(session)]),
            lambda: store.touch([]),
            lambda: store.events(after=0, limit=1),
            store.newest_event,
            lambda: store.purge(ended_before=0, due_before=0, limit=1),
            lambda: store.purge_events(before=0, limit=1),
        ]
        for call in calls:
            with pytest.raises(Unavailable) as refused:
                await call()
            assert refused.value.code == "store_unavailable"
        with pytest.raises(Unavailable):
            store.peek_session(DEFAULT_PROJECT, session.id)
        with pytest.raises(Unavailable):
            store.check()
        await store.close()
