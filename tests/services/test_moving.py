"""Moving from store to store, in memory: what one pass does, what a switch keeps, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.errors import Misconfigured, StateConflict, Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.ids import SubjectId
from sessiond.domain.projects import Deployment, deployment_key
from sessiond.services.movable import MovableStore
from sessiond.services.moving import Mover, Progress
from sessiond.services.ports import Change
from sessiond.storage.engines.memory import MemoryStore
from sessiond.testing import samples
from sessiond.testing.moving_contract import MovingContract, told
from sessiond.testing.samples import NOW
from tests.deployment import SetClock
from tests.services.moved_stores import (
    BrokenAt,
    CountingStops,
    Meddling,
    MeetsTwice,
    OncePerKey,
    StaysMeanwhile,
)

TO = "postgresql://db/there"


@pytest.fixture
async def source() -> MovableStore:
    store = MemoryStore()
    await MovingContract.fill(store)
    return store


@pytest.fixture
def target() -> MovableStore:
    return MemoryStore()


@pytest.fixture
def heard() -> list[Progress]:
    return []


@pytest.fixture
def mover(source: MovableStore, target: MovableStore, heard: list[Progress]) -> Mover:
    return Mover(source, target, SetClock(NOW), heard.append)


async def deployment_in(store: MovableStore) -> Deployment:
    record = await store.get(deployment_key())
    assert isinstance(record, Deployment)
    return record


async def test_a_switch_moves_everything_and_opens_the_target(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    before, deployment = await source.events(after=0, limit=99), await deployment_in(source)

    assert await mover.switch(TO) == []

    after = await target.events(after=0, limit=99)
    assert after[: len(before)] == before
    assert [event.type for _, event in after[len(before) :]] == [EventType.DEPLOYMENT_MOVED]
    opened = await deployment_in(target)
    assert msgspec.structs.replace(opened, version=deployment.version) == deployment
    assert (await deployment_in(source)).departed is not None


async def test_the_source_is_not_written_to_once_it_was_left(mover: Mover, source: MovableStore) -> None:
    await mover.switch(TO)

    with pytest.raises(Unavailable, match="moved to another database"):
        await source.apply(told(samples.event()))


async def test_the_target_is_newer_than_the_source_for_every_witness(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    await source.adopt_events([], newest=5000)

    await mover.switch(TO)

    assert await target.newest_event() == 5001


async def test_what_changes_and_goes_between_two_passes_is_followed(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    session, subject = samples.session(), samples.subject(SubjectId("bob"))
    await source.apply(samples.put(session, subject, events=(samples.event(), samples.event())))
    await mover.copy()
    (number, event) = (await source.events(after=0, limit=99))[0]
    await source.revoke([samples.revocation(session)])
    await source.apply(samples.delete(subject.key, 1))
    await source.rewrite_events([(number, msgspec.structs.replace(event, by="erased"))])
    await source.drop_events([(samples.PARTITION, (await source.events(after=0, limit=99))[-1][0])])

    await mover.copy()

    moved = await target.get(session.key)
    assert moved == await source.get(session.key)
    assert await target.get(subject.key) is None
    assert await target.events(after=0, limit=99) == await source.events(after=0, limit=99)
    assert await mover.compare() == []


async def test_a_record_that_is_met_twice_is_moved_as_it_was_met_last(
    source: MovableStore, target: MovableStore
) -> None:
    bob = samples.subject(SubjectId("bob"))
    await source.apply(samples.put(bob))
    later = samples.renewed(bob, 5)

    await Mover(MeetsTwice(source, later), OncePerKey(target), SetClock(NOW), lambda _: None).copy()

    assert await target.get(bob.key) == later


async def test_a_copy_that_finds_nothing_to_do_writes_nothing_but_how_far_it_came(mover: Mover) -> None:
    await mover.copy()

    assert await mover.copy() == 0


async def test_a_difference_names_the_partition_the_kind_and_both_counts(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    tampered, missing = samples.subject(SubjectId("bob")), samples.session()
    await source.apply(samples.put(tampered, missing))
    await mover.copy()
    await target.apply(samples.put(samples.renewed(tampered, 5)))
    await target.apply(samples.delete(missing.key, 1))

    found = await mover.compare()

    assert [(each.partition, each.kind, each.source - each.target) for each in found] == [
        (samples.PARTITION, "session", 1),
        (samples.PARTITION, "subject", 0),
    ]


async def test_an_event_that_tells_something_else_is_a_difference(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    await mover.copy()
    (number, event) = (await target.events(after=0, limit=1))[0]
    await target.rewrite_events([(number, msgspec.structs.replace(event, by="somebody"))])

    assert [(each.partition, each.kind) for each in await mover.compare()] == [(event.partition, "event")]


async def test_a_target_that_differs_is_not_opened_and_the_source_stays_left(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    session = samples.session()
    await source.apply(samples.put(session))
    await mover.copy()
    # No put lowers what was seen of a session, so that no pass can mend this.
    await target.apply(
        samples.put(msgspec.structs.replace(session, version=2, last_seen_at=session.last_seen_at + 1))
    )

    found = await mover.switch(TO)

    assert [(each.partition, each.kind, each.source - each.target) for each in found] == [
        (samples.PARTITION, "session", 0)
    ]
    assert (await deployment_in(target)).arriving is not None
    assert (await deployment_in(source)).departed is not None


async def test_a_switch_may_be_repeated_once_it_is_done(mover: Mover, target: MovableStore) -> None:
    await mover.switch(TO)
    before = await target.newest_event()

    assert await mover.switch(TO) == []

    assert await target.newest_event() == before


async def test_a_switch_that_was_interrupted_after_the_source_was_left_goes_on(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    session = samples.session()
    await source.apply(samples.put(session))
    await mover.copy()
    here = await deployment_in(source)
    await source.revoke([samples.revocation(session)])
    interrupted = Mover(source, BrokenAt(target), SetClock(NOW), lambda _: None)
    with pytest.raises(Unavailable):
        await interrupted.switch(TO)
    assert (await deployment_in(source)).departed is not None

    assert await mover.switch(TO) == []

    assert (await deployment_in(target)).epoch == here.epoch
    assert await target.get(session.key) == await source.get(session.key)


async def test_who_stays_is_served_by_the_source_again(
    mover: Mover, source: MovableStore, target: MovableStore
) -> None:
    session = samples.session()
    await source.apply(samples.put(session))
    await mover.copy()
    with pytest.raises(Unavailable):
        await Mover(source, BrokenAt(target), SetClock(NOW), lambda _: None).switch(TO)

    await mover.stay()

    await source.revoke([samples.revocation(session)])
    assert (await deployment_in(source)).departed is None
    assert await mover.switch(TO) == []
    assert await target.get(session.key) == await source.get(session.key)


async def test_a_switch_does_not_open_what_somebody_stays_away_from_meanwhile(
    source: MovableStore, target: MovableStore
) -> None:
    with pytest.raises(StateConflict, match="Another `sessiond migrate`"):
        await Mover(source, StaysMeanwhile(source, target), SetClock(NOW), lambda _: None).switch(TO)

    assert (await deployment_in(target)).arriving is not None
    await source.apply(told(samples.event()))


async def test_nobody_stays_once_the_target_was_opened(mover: Mover, source: MovableStore) -> None:
    await mover.switch(TO)

    with pytest.raises(StateConflict, match="not empty"):
        await mover.stay()
    with pytest.raises(Unavailable):
        await source.apply(told(samples.event()))


async def test_a_copy_goes_on_where_it_was_interrupted(
    source: MovableStore, target: MovableStore, heard: list[Progress]
) -> None:
    sessions = [samples.session(id=samples.session_id(NOW + n)) for n in range(6000)]
    for start in range(0, 6000, 500):
        await source.apply(samples.put(*sessions[start : start + 500]))
    clock, counting = SetClock(NOW), CountingStops(target, after=5000)
    with pytest.raises(KeyboardInterrupt):
        await Mover(source, counting, clock, lambda _: None).copy()

    await Mover(source, target, clock, heard.append).copy()

    first = [each.done for each in heard if each.doing == "copying"][-1]
    assert first < 3000
    assert await Mover(source, target, clock, heard.append).compare() == []


async def test_an_unfinished_move_from_another_installation_is_refused(
    source: MovableStore, target: MovableStore, mover: Mover
) -> None:
    await mover.copy()
    other = MemoryStore()
    await other.apply(samples.put(msgspec.structs.replace(samples.deployment(), install_id="other")))

    with pytest.raises(StateConflict, match="not empty"):
        await Mover(other, target, SetClock(NOW), lambda _: None).copy()


@pytest.mark.parametrize("what", ["a record", "an event", "an event that was purged", "an installation"])
async def test_a_target_that_is_not_empty_is_refused(mover: Mover, target: MovableStore, what: str) -> None:
    subject = samples.subject()
    changes = {
        "a record": Change(partition=subject.partition, expects={subject.key: 0}, puts=[subject]),
        "an installation": samples.put(samples.deployment()),
    }
    await target.apply(changes.get(what, told(samples.event())))
    if what == "an event that was purged":
        await target.purge_events(before=NOW + 1, limit=9)

    with pytest.raises(StateConflict, match="not empty"):
        await mover.copy()


async def test_there_must_be_something_to_move(target: MovableStore) -> None:
    with pytest.raises(Misconfigured, match="no installation"):
        await Mover(MemoryStore(), target, SetClock(NOW), lambda _: None).copy()


async def test_a_store_that_is_being_filled_is_no_source(mover: Mover, target: MovableStore) -> None:
    await mover.copy()

    with pytest.raises(Misconfigured, match="being filled"):
        await Mover(target, MemoryStore(), SetClock(NOW), lambda _: None).copy()


async def test_two_moves_at_once_do_not_both_write(
    source: MovableStore, target: MovableStore, mover: Mover
) -> None:
    await mover.copy()
    session = samples.session()
    await source.apply(samples.put(session))
    meddling = Meddling(target)

    with pytest.raises(StateConflict, match="Another `sessiond migrate`"):
        await Mover(source, meddling, SetClock(NOW), lambda _: None).copy()
