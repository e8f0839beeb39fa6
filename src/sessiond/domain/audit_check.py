"""Checking a chain: its links and the events are walked side by side, and whatever does not fit is named.

Each partition's events are sealed in the order of their sequence. So an event that is passed by, because a later one
of its partition is sealed, was not there when the later one was sealed.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from sessiond.domain.audit_chain import Entry, Head, Link, Tag, Told, entry_of, is_proved
from sessiond.domain.events import EventType
from sessiond.domain.ids import Partition
from sessiond.domain.instants import Instant

MOST_FINDINGS = 1000
UNSEALED_AFTER_MS = 300_000
"""How long after it happened an event may be unsealed: more than clocks differ, far more than sealing takes."""


class Fault(enum.StrEnum):
    """What can be wrong."""

    EVENT_CHANGED = "event_changed"
    EVENT_REMOVED = "event_removed"
    EVENT_INSERTED = "event_inserted"
    EVENT_REPEATED = "event_repeated"
    EVENT_UNSEALED = "event_unsealed"
    LINK_CHANGED = "link_changed"
    LINK_REMOVED = "link_removed"
    HEAD_FORGED = "head_forged"
    HEAD_OTHER = "head_other"
    LEASE_FORGED = "lease_forged"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong: with an event (*sequence*, *partition*, *at*, *type*), or with a *link*, by its number.

    *type* is None for an event that is gone.
    """

    fault: Fault
    sequence: int | None = None
    partition: Partition | None = None
    at: Instant | None = None
    type: EventType | None = None
    link: int | None = None


class Counts(msgspec.Struct, kw_only=True):
    """What a check saw. *rewritten* were changed by erasing, *purged* removed by retention, *unsealed* are too new.

    *late* say that they happened long before they were sealed: no server ran, or they were slipped in.
    *findings* counts those too that are not listed.
    """

    links: int = 0
    sealed: int = 0
    rewritten: int = 0
    purged: int = 0
    late: int = 0
    unsealed: int = 0
    findings: int = 0


class Check:
    """One walk along the chain of *head*.

    *tag* and *text_of* are keyed hashes of the project. Events that happened before *purged_before* may be gone.
    """

    def __init__(
        self,
        head: Head | None,
        tag: Tag,
        text_of: Callable[[bytes], str],
        *,
        purged_before: Instant,
        sealed_until: Instant,
    ) -> None:
        self.counts = Counts()
        self.findings: list[Finding] = []
        self.unsealed_since: Instant | None = None
        self._tag = tag
        self._text_of = text_of
        self._purged_before = purged_before
        self._sealed_until = sealed_until
        self._waiting: dict[Partition, deque[Told]] = {}
        self._sealed: dict[Partition, int] = {}
        self._previous = None if head is None else head.before
        if head is not None and not head.is_signed(tag):
            self.find(Fault.HEAD_FORGED, link=head.number)

    def find(
        self, fault: Fault, *, told: Told | None = None, entry: Entry | None = None, link: int | None = None
    ) -> None:
        """Note what is wrong with an event, which is there or only sealed, or with a link."""
        self.counts.findings += 1
        if len(self.findings) == MOST_FINDINGS:
            return
        finding = Finding(fault=fault, link=link)
        if told is not None:
            sequence, event = told
            finding = Finding(
                fault=fault,
                sequence=sequence,
                partition=event.partition,
                at=event.at,
                type=event.type,
                link=link,
            )
        elif entry is not None:
            finding = Finding(
                fault=fault, sequence=entry.sequence, partition=entry.partition, at=entry.at, link=link
            )
        self.findings.append(finding)

    def take_link(self, number: int, link: Link | None) -> Sequence[Entry]:
        """Look at the next link, None where it is gone; return what it names, as far as that can be believed."""
        if link is None:
            self.find(Fault.LINK_REMOVED, link=number)
            self._previous = None
            return ()
        self.counts.links += 1
        try:
            entries = link.entries()
        except ValueError:
            entries = ()
        if (self._previous is not None and link.previous != self._previous) or not entries:
            self.find(Fault.LINK_CHANGED, link=number)
        self._previous = link.digest()
        self.counts.late += sum(entry.at < link.sealed_at - UNSEALED_AFTER_MS for entry in entries)
        return entries

    def end_links(self, head: Head) -> None:
        """Compare the last link with the signed head."""
        if self._previous is not None and self._previous != head.digest:
            self.find(Fault.LINK_CHANGED, link=head.number)

    def take_event(self, told: Told) -> None:
        """Keep the next event, whose sequence is above all before, until its link comes."""
        self._waiting.setdefault(told[1].partition, deque()).append(told)

    def compare(self, number: int, entry: Entry) -> bool:
        """Compare what link *number* says of an event with the event; False where that was not taken yet."""
        partition, sequence = entry.partition, entry.sequence
        if sequence <= self._sealed.get(partition, 0):
            self.find(Fault.EVENT_REPEATED, entry=entry, link=number)
            return True
        waiting = self._waiting.get(partition, deque())
        while waiting and waiting[0][0] < sequence:
            self._pass_by(waiting.popleft())
        if not waiting or waiting[0][0] != sequence:
            return False
        self._sealed[partition] = sequence
        self._judge(number, entry, waiting.popleft())
        return True

    def may_be_purged(self, entry: Entry) -> bool:
        """Tell whether retention may have removed the event of *entry*."""
        return entry.at < self._purged_before

    def miss(self, number: int, entry: Entry) -> None:
        """Note that the event of *entry* is not there: purged, or removed."""
        self._sealed[entry.partition] = entry.sequence
        if self.may_be_purged(entry):
            self.counts.purged += 1
        else:
            self.find(Fault.EVENT_REMOVED, entry=entry, link=number)

    def found_late(self, number: int, entry: Entry, told: Told) -> None:
        """Compare an event that was looked for by itself."""
        self._sealed[entry.partition] = entry.sequence
        self._judge(number, entry, told)

    def take_rest(self, told: Told) -> None:
        """Look at an event after the last link: it is too new to be sealed, or should not be there."""
        sequence, event = told
        if sequence <= self._sealed.get(event.partition, 0):
            self._pass_by(told)
        elif event.at < self._sealed_until - UNSEALED_AFTER_MS:
            if event.at >= self._purged_before:
                self.find(Fault.EVENT_UNSEALED, told=told)
        else:
            self.counts.unsealed += 1
            self.unsealed_since = min(self.unsealed_since or event.at, event.at)

    def take_waiting(self) -> None:
        """Look at the events that no link named."""
        for waiting in self._waiting.values():
            for told in waiting:
                self.take_rest(told)
        self._waiting.clear()

    def _pass_by(self, told: Told) -> None:
        # Its link may be gone already, and the purge not yet as far.
        if told[1].at >= self._purged_before:
            self.find(Fault.EVENT_INSERTED, told=told)

    def _judge(self, number: int, entry: Entry, told: Told) -> None:
        sequence, event = told
        real = entry_of(sequence, event, self._tag)
        self.counts.sealed += 1
        if real == entry:
            return
        if real.kept == entry.kept and is_proved(sequence, event, self._text_of):
            self.counts.rewritten += 1
        else:
            self.find(Fault.EVENT_CHANGED, told=told, link=number)
