from __future__ import annotations

import msgspec

from sessiond.domain.audit_chain import appended, entry_of
from sessiond.domain.audit_check import MOST_FINDINGS, Check, Fault
from sessiond.domain.events import Event
from tests.domain.test_audit_chain import HOME, NOW, TOLD, tag, text_of


def event(sequence: int) -> tuple[int, Event]:
    return sequence, msgspec.structs.replace(TOLD, at=NOW + sequence)


def check_of(*sequences: int) -> tuple[Check, list[tuple[Fault, int | None]]]:
    """Return a check of the events 1 to 5, of which one link names *sequences*, and what it found."""
    entries = [entry_of(*event(sequence), tag) for sequence in sequences]
    link, head = appended(None, entries, project=TOLD.project, partition=HOME, now=NOW, turn=1, fence=1)
    check = Check(head.signed(tag), tag, text_of, purged_before=0, sealed_until=NOW)
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
