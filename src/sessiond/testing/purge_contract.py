"""Contract: `purge` and `purge_events`."""

# ruff: noqa: D102, S101, PLR2004  a test's name is its sentence, and it is made of asserts and literal values

from __future__ import annotations

import pytest

from sessiond.domain.records import Kind, Record
from sessiond.services.ports import Change, Selection, Store
from sessiond.testing import samples
from sessiond.testing.samples import HOUR, NOW


class PurgeContract:
    """What holds for the removal of what ended."""

    @pytest.mark.parametrize(
        ("record", "goes"),
        [
            (samples.session(), False),
            (samples.session(expires_at=NOW - 1), True),
            (samples.session(expires_at=NOW), False),
            (samples.session(revoked_at=NOW - 1, revoked_reason="r"), True),
            (samples.session(revoked_at=NOW, revoked_reason="r"), False),
            (samples.session(idle_timeout_ms=1, last_seen_at=NOW - HOUR), False),
            (samples.session(expires_at=NOW - 1, revoked_at=NOW - 1, revoked_reason="r"), True),
            (samples.tally(a=NOW - 1), True),
            (samples.tally(a=NOW), False),
            (samples.subject(created_at=0), False),
        ],
    )
    async def test_only_what_ended_before_goes(self, store: Store, record: Record, *, goes: bool) -> None:
        await store.apply(samples.put(record))
        assert await store.purge(ended_before=NOW, due_before=NOW, limit=9) == (1 if goes else 0)
        assert await store.get(record.key) == (None if goes else record)

    async def test_sessions_and_other_records_go_by_instants_of_their_own(self, store: Store) -> None:
        session, tally = samples.session(expires_at=NOW - HOUR), samples.tally(a=NOW - HOUR)
        await store.apply(samples.put(session))
        await store.apply(samples.put(tally))
        assert await store.purge(ended_before=NOW - HOUR, due_before=NOW, limit=9) == 1
        assert await store.get(session.key) == session
        assert await store.purge(ended_before=NOW, due_before=0, limit=9) == 1

    async def test_a_purge_is_bounded_and_says_how_many_went(self, store: Store) -> None:
        for n in range(6):
            await store.apply(samples.put(samples.session(expires_at=NOW - 1 - n)))
            await store.apply(samples.put(samples.tally(b"%d" % n, a=NOW - 1)))
        went = [await store.purge(ended_before=NOW, due_before=NOW, limit=5) for _ in range(4)]
        assert went == [5, 5, 2, 0]
        assert await store.count(Selection(kind=Kind.SESSION)) == 0

    async def test_many_more_than_one_transaction_takes_can_go_at_once(self, store: Store) -> None:
        records = [samples.session(expires_at=NOW - 1) for _ in range(300)]
        await store.apply(samples.put(*records))
        assert await store.purge(ended_before=NOW, due_before=NOW, limit=299) == 299
        assert await store.count(Selection(kind=Kind.SESSION)) == 1

    async def test_a_purge_tells_nothing(self, store: Store) -> None:
        await store.apply(samples.put(samples.session(expires_at=NOW - 1)))
        await store.purge(ended_before=NOW, due_before=NOW, limit=9)
        assert await store.newest_event() == 0

    async def test_the_oldest_events_go_first_and_only_those_before(self, store: Store) -> None:
        told = [samples.event(at=NOW + n) for n in range(5)]
        await store.apply(Change(partition=samples.PARTITION, expects={}, events=told))
        assert await store.purge_events(before=NOW + 3, limit=2) == 2
        assert [event for _, event in await store.events(after=0, limit=9)] == told[2:]
        assert await store.purge_events(before=NOW + 3, limit=9) == 1
        assert await store.purge_events(before=NOW + 3, limit=9) == 0
        assert [event for _, event in await store.events(after=0, limit=9)] == told[3:]
