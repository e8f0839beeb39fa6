from __future__ import annotations

import msgspec
import pytest

from sessiond.domain.audit_chain import Head, Link, appended, entry_of, with_proof
from sessiond.domain.audit_check import MOST_FINDINGS, UNSEALED_AFTER_MS, Check, Fault, Finding
from sessiond.domain.events import Event
from tests.domain.test_audit_chain import HOME, NOW, TOLD, chain, tag, text_of


def event(sequence: int) -> tuple[int, Event]:
    return sequence, msgspec.structs.replace(TOLD, at=NOW + sequence)


def a_check(head: Head | None = None, *, purged_before: int = 0, sealed_until: int = NOW) -> Check:
    return Check(head, tag, text_of, purged_before=purged_before, sealed_until=sealed_until)


def walked(links: list[Link], head: Head) -> Check:
    """Return a check of links without events."""
    check = a_check(head)
    for number, link in enumerate(links, 1):
        check.take_link(number, link)
    check.end_links(head)
    return check


def check_of(*sequences: int) -> tuple[Check, list[tuple[Fault, int | None]]]:
    """Return a check of the events 1 to 5, of which one link names *sequences*, and what it found."""
    entries = [entry_of(*event(sequence), tag) for sequence in sequences]
    link, head = appended(None, entries, project=TOLD.project, partition=HOME, now=NOW, turn=1, fence=1)
    check = a_check(head.signed(tag))
    named = check.take_link(1, link)
    for sequence in range(1, 6):
        check.take_event(event(sequence))
    for entry in named:
        if not check.compare(1, entry):
            check.miss(1, entry)
    check.end_links(head)
    check.take_waiting()
    return check, [(finding.fault, finding.sequence) for finding in check.findings]


def test_what_is_sealed_in_order_is_sound_and_the_rest_is_the_tail() -> None:
    check, found = check_of(1, 2, 3)

    assert (found, check.counts.sealed, check.counts.unsealed, check.unsealed_since) == ([], 3, 2, NOW + 4)


def test_an_event_that_is_named_twice_or_too_late_is_told() -> None:
    assert check_of(1, 2, 2, 3, 1)[1] == [(Fault.EVENT_REPEATED, 2), (Fault.EVENT_REPEATED, 1)]


def test_an_event_that_a_link_passes_by_was_inserted() -> None:
    assert check_of(1, 2, 4)[1] == [(Fault.EVENT_INSERTED, 3)]


def test_an_event_that_is_named_and_not_there_was_removed() -> None:
    assert check_of(1, 2, 9)[1] == [
        (Fault.EVENT_INSERTED, 3),
        (Fault.EVENT_INSERTED, 4),
        (Fault.EVENT_INSERTED, 5),
        (Fault.EVENT_REMOVED, 9),
    ]


def test_findings_beyond_the_first_thousand_are_counted() -> None:
    check, found = check_of(1, *[1] * (MOST_FINDINGS + 5))

    assert (len(found), check.counts.findings) == (MOST_FINDINGS, MOST_FINDINGS + 5)


# The links


def test_a_whole_chain_is_counted_and_nothing_is_found() -> None:
    links, head = chain(1, 2, 3)

    check = walked(links, head)

    assert (check.findings, check.counts.links, check.counts.findings) == ([], 3, 0)


@pytest.mark.parametrize(("after", "late"), [(UNSEALED_AFTER_MS, 1), (UNSEALED_AFTER_MS + 1, 2)])
def test_an_event_that_was_sealed_long_after_it_says_that_it_happened_is_late(after: int, late: int) -> None:
    old = (1, msgspec.structs.replace(TOLD, at=NOW - 1))
    entries = [entry_of(*each, tag) for each in (old, (2, msgspec.structs.replace(TOLD, at=NOW)))]
    sealed_at = NOW + after
    link, head = appended(None, entries, project=TOLD.project, partition=HOME, now=sealed_at, turn=1, fence=1)

    check = walked([link], head.signed(tag))

    assert (check.findings, check.counts.late) == ([], late)


def test_a_head_that_is_not_signed_is_forged_and_none_is_not() -> None:
    links, head = chain(1, 2)

    forged = walked(links, msgspec.structs.replace(head, signature=bytes(16)))

    assert forged.findings == [Finding(fault=Fault.HEAD_FORGED, link=2)]
    assert a_check().findings == []


def test_a_link_that_is_gone_is_told_and_what_follows_it_is_believed_again() -> None:
    [first, _, third], head = chain(1, 2, 3)
    check = a_check(head)

    assert len(check.take_link(1, first)) == 1
    assert check.take_link(2, None) == ()
    assert len(check.take_link(3, third)) == 3
    check.end_links(head)

    assert check.findings == [Finding(fault=Fault.LINK_REMOVED, link=2)]
    assert check.counts.links == 2


def test_a_last_link_that_is_gone_is_told_once() -> None:
    [first, _], head = chain(1, 2)
    check = a_check(head)

    check.take_link(1, first)
    check.take_link(2, None)
    check.end_links(head)

    assert check.findings == [Finding(fault=Fault.LINK_REMOVED, link=2)]


@pytest.mark.parametrize("packed", [b"", b"cut"])
def test_a_link_without_entries_is_changed_and_so_is_all_that_it_leads_to(packed: bytes) -> None:
    [first, second, third], head = chain(1, 2, 3)

    check = walked([first, msgspec.structs.replace(second, packed=packed), third], head)

    assert check.findings == [
        Finding(fault=Fault.LINK_CHANGED, link=2),
        Finding(fault=Fault.LINK_CHANGED, link=3),
    ]


def test_a_first_link_that_names_another_beginning_is_changed() -> None:
    [first], head = chain(1)

    check = a_check(head)
    check.take_link(1, msgspec.structs.replace(first, previous=b"1" * 32))

    assert check.findings == [Finding(fault=Fault.LINK_CHANGED, link=1)]


def test_a_last_link_that_is_not_the_heads_is_changed() -> None:
    [first, second], head = chain(1, 2)

    check = walked([first, msgspec.structs.replace(second, packed=second.packed[:-1] + b"?")], head)

    assert check.findings == [Finding(fault=Fault.LINK_CHANGED, link=2)]


# The events


def test_a_finding_tells_all_that_is_known_of_the_event() -> None:
    check, told = a_check(), event(3)

    check.find(Fault.EVENT_CHANGED, told=told, link=7)
    check.find(Fault.EVENT_REMOVED, entry=entry_of(*told, tag), link=8)

    known = {"sequence": 3, "partition": HOME, "at": NOW + 3}
    assert check.findings == [
        Finding(fault=Fault.EVENT_CHANGED, type=TOLD.type, link=7, **known),  # type: ignore[arg-type]
        Finding(fault=Fault.EVENT_REMOVED, link=8, **known),  # type: ignore[arg-type]
    ]


def test_an_event_that_says_something_else_now_is_changed_unless_erasing_proves_it() -> None:
    sequence, told = event(3)
    entry = entry_of(sequence, told, tag)
    other = msgspec.structs.replace(told, by="someone")
    later = msgspec.structs.replace(told, at=NOW)

    check = a_check()
    check.found_late(1, entry, (3, told))
    check.found_late(1, entry, (3, with_proof(3, other, text_of)))
    assert (check.findings, check.counts.sealed, check.counts.rewritten) == ([], 2, 1)

    check.found_late(1, entry, (3, other))
    check.found_late(1, entry, (3, with_proof(3, later, text_of)))
    assert [finding.fault for finding in check.findings] == [Fault.EVENT_CHANGED] * 2
    assert (check.counts.sealed, check.counts.rewritten) == (4, 1)


@pytest.mark.parametrize("late", [True, False], ids=["found late", "missed"])
def test_what_was_looked_for_by_itself_is_sealed_and_not_again(late: bool) -> None:
    check, told = a_check(), event(3)
    entry = entry_of(*told, tag)

    if late:
        check.found_late(1, entry, told)
    else:
        check.miss(1, entry)

    assert check.compare(2, entry)
    assert check.findings[-1] == Finding(
        fault=Fault.EVENT_REPEATED, sequence=3, partition=HOME, at=NOW + 3, link=2
    )


def test_an_event_that_was_not_taken_yet_is_not_judged() -> None:
    check = a_check()

    assert not check.compare(1, entry_of(*event(2), tag))
    check.take_event(event(3))
    assert not check.compare(1, entry_of(*event(2), tag))
    assert check.compare(1, entry_of(*event(3), tag))
    assert (check.findings, check.counts.sealed) == ([], 1)


def test_what_retention_may_have_removed_is_purged_and_nothing_younger() -> None:
    check = a_check(purged_before=NOW + 3)

    for sequence in (1, 2, 3):
        check.miss(1, entry_of(*event(sequence), tag))

    assert [(finding.fault, finding.sequence) for finding in check.findings] == [(Fault.EVENT_REMOVED, 3)]
    assert check.counts.purged == 2


def test_an_event_whose_link_may_be_purged_is_passed_by_in_silence() -> None:
    check = a_check(purged_before=NOW + 2)
    for sequence in (1, 2, 3):
        check.take_event(event(sequence))

    assert check.compare(1, entry_of(*event(3), tag))

    assert [(finding.fault, finding.sequence) for finding in check.findings] == [(Fault.EVENT_INSERTED, 2)]


def test_events_after_the_last_link_are_too_new_or_should_not_be_there() -> None:
    check = a_check(purged_before=NOW + 2, sealed_until=NOW + 4 + UNSEALED_AFTER_MS)

    for sequence in (1, 2, 3, 5, 4):
        check.take_rest(event(sequence))

    assert [(finding.fault, finding.sequence) for finding in check.findings] == [
        (Fault.EVENT_UNSEALED, 2),
        (Fault.EVENT_UNSEALED, 3),
    ]
    assert (check.counts.unsealed, check.unsealed_since) == (2, NOW + 4)


def test_an_event_behind_what_is_sealed_was_inserted_even_after_the_last_link() -> None:
    check = a_check()
    check.miss(1, entry_of(*event(3), tag))

    for sequence in (2, 3, 4):
        check.take_rest(event(sequence))

    assert [(finding.fault, finding.sequence) for finding in check.findings[1:]] == [
        (Fault.EVENT_INSERTED, 2),
        (Fault.EVENT_INSERTED, 3),
    ]
    assert check.counts.unsealed == 1


def test_what_waited_is_looked_at_once() -> None:
    check = a_check()
    check.take_event(event(1))

    check.take_waiting()
    check.take_waiting()

    assert check.counts.unsealed == 1
