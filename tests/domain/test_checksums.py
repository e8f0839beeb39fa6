"""Checksums of two stores: equal for equal contents in any order, and where they differ each group is named."""

from __future__ import annotations

import msgspec

from sessiond.domain.checksums import Checksums, Difference
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.moving import Arriving, Departed
from sessiond.domain.records import Record
from tests.domain.samples import ALICE, NOW, PARTITION, a_session, a_standing, a_subject

RECORDS = [a_session(), a_session(id=b"\xff" * 16), a_subject()]
TOLD = Event(type=EventType.VAULT_READ, at=NOW, partition=PARTITION, project=DEFAULT_PROJECT, subject=ALICE)


def sums(records: list[Record], *events: tuple[int, Event]) -> Checksums:
    checksums = Checksums()
    checksums.add(records, events)
    return checksums


def test_equal_contents_are_equal_in_any_order_and_however_they_come() -> None:
    source = sums(RECORDS, (1, TOLD), (2, TOLD))
    target = Checksums()
    target.add([], [(2, TOLD)])
    target.add(RECORDS[::-1], [])
    target.add([], [(1, TOLD)])

    assert source.differences(target) == []
    assert source.total == target.total == 5
    assert Checksums().total == 0


def test_where_one_holds_more_it_is_told_how_many_each_holds() -> None:
    other = msgspec.structs.replace(TOLD, partition=Partition(3))

    found = sums(RECORDS, (1, TOLD), (2, TOLD)).differences(sums(RECORDS[1:], (1, TOLD), (3, other)))

    assert found == [
        Difference(partition=Partition(3), kind="event", source=0, target=1),
        Difference(partition=PARTITION, kind="event", source=2, target=1),
        Difference(partition=PARTITION, kind="session", source=1, target=0),
    ]


def test_as_many_that_say_something_else_differ() -> None:
    changed = sums([a_subject(name="Bob")], (1, TOLD))
    moved = sums([a_subject()], (2, TOLD))
    source = sums([a_subject()], (1, TOLD))

    assert source.differences(changed) == [
        Difference(partition=PARTITION, kind="subject", source=1, target=1)
    ]
    assert source.differences(moved) == [Difference(partition=PARTITION, kind="event", source=1, target=1)]


def test_the_marks_of_a_move_make_no_difference_and_all_else_of_a_deployment_does() -> None:
    deployment = a_standing().deployment
    assert deployment is not None
    marked = msgspec.structs.replace(
        deployment, arriving=Arriving(at=NOW), departed=Departed(to="redis://a", at=NOW), version=9
    )

    assert sums([deployment]).differences(sums([marked])) == []
    assert sums([deployment]).differences(sums([msgspec.structs.replace(deployment, epoch=7)])) != []
