"""The audit as it is read: lists, and the check that nothing was changed, removed, inserted or moved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from sessiond.domain.audit_chain import Entry, Head, Lease, Link, Told, head_key, lease_key
from sessiond.domain.audit_check import Check, Counts, Fault, Finding
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Record
from sessiond.services.audit_chains import chain_partition, proof_of, read_links, tag_of
from sessiond.services.keys import Keys
from sessiond.services.ports import Store

_PAGE = 5000
_GROWING = 4
_LINKS_AT_ONCE = 20
_LOOKED_AT = 5000

Progress = Callable[[int, int], None]
"""Is told how many links were looked at, and of how many."""


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events with their sequences, oldest first. *following* None: the last page."""

    events: Sequence[Told]
    following: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a check came to. *unsealed_since* is when the oldest event of the unsealed tail happened.

    *head* is None where nothing was ever sealed; *first* is the first link that retention has kept.
    """

    project: ProjectId
    head: str | None
    sealed_at: Instant | None
    first: int | None
    counts: Counts
    unsealed_since: Instant | None
    findings: Sequence[Finding]


class Auditing:
    """Reads and checks the audit of a project."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def page(self, project: ProjectId, wanted: EventFilter, *, limit: int, after: int = 0) -> EventPage:
        """Return at most *limit* events above a sequence; a page looks at a bounded number, and may hold fewer."""
        found: list[Told] = []
        looked_at, portion = 0, limit
        while looked_at < _LOOKED_AT:
            rows = await self._store.events(after=after, limit=portion, project=project)
            for sequence, event in rows:
                after = sequence
                if wanted.holds(event):
                    found.append((sequence, event))
                if len(found) == limit:
                    return EventPage(events=found, following=after)
            if len(rows) < portion:
                return EventPage(events=found, following=None)
            looked_at, portion = looked_at + len(rows), min(_PAGE, _GROWING * portion)
        return EventPage(events=found, following=after)

    async def all_events(self, project: ProjectId, wanted: EventFilter) -> AsyncIterator[Told]:
        """Go through all events of the project that are wanted, oldest first."""
        after: int | None = 0
        while after is not None:
            page = await self.page(project, wanted, limit=_PAGE, after=after)
            for row in page.events:
                yield row
            after = page.following

    async def verify(
        self,
        project: ProjectId,
        *,
        kept: tuple[int, bytes] | None = None,
        progress: Progress = lambda _done, _all: None,
    ) -> Report:
        """Check the chain of the project, and that it holds the head that an operator *kept* from the log."""
        partition, tag = chain_partition(self._keys, project), tag_of(self._keys, project)
        found, lease = await self._store.get_many([head_key(project, partition), lease_key()])
        head = found if isinstance(found, Head) else None
        signed = self._signed(lease)
        check = Check(
            head,
            tag,
            proof_of(self._keys, project),
            purged_before=0 if signed is None else signed.purged_before,
            sealed_until=0 if signed is None else signed.sealed_until,
        )
        if lease is not None and signed is None:
            check.find(Fault.LEASE_FORGED)
        walk = _Walk(self._store, project, check)
        has_kept = False if head is None else await walk.along(head, kept, progress)
        if kept is not None and not has_kept:
            check.find(Fault.HEAD_OTHER, link=kept[0])
        return Report(
            project=project,
            head=None if head is None else head.text(),
            sealed_at=None if head is None else head.sealed_at,
            first=None if head is None else head.first,
            counts=check.counts,
            unsealed_since=await walk.read_rest(),
            findings=check.findings,
        )

    def _signed(self, lease: Record | None) -> Lease | None:
        """Return the lease if it was signed with our key: what it says of retention is believed then only."""
        tag = tag_of(self._keys, DEFAULT_PROJECT)
        return lease if isinstance(lease, Lease) and lease.is_signed(tag) else None


class _Walk:
    """The events beside the links: read in pages, in their order."""

    def __init__(self, store: Store, project: ProjectId, check: Check) -> None:
        self._store = store
        self._project = project
        self._check = check
        self._after = 0
        self._ended = False

    async def along(self, head: Head, kept: tuple[int, bytes] | None, progress: Progress) -> bool:
        """Look at every link of the chain of *head*; tell whether what was *kept* is the number and hash of one."""
        has_kept = kept == (head.first - 1, head.before)
        for start in range(head.first, head.number + 1, _LINKS_AT_ONCE):
            numbers = range(start, min(start + _LINKS_AT_ONCE, head.number + 1))
            links = await read_links(self._store, head, numbers)
            for number, link in zip(numbers, links, strict=True):
                await self._look_at(number, link)
                has_kept = has_kept or (link is not None and kept == (number, link.digest()))
            progress(numbers[-1], head.number)
        self._check.end_links(head)
        return has_kept

    async def _look_at(self, number: int, link: Link | None) -> None:
        """Compare what a link names with the events."""
        for entry in self._check.take_link(number, link):
            while self._after < entry.sequence and not self._ended:
                for told in await self._next():
                    self._check.take_event(told)
            if not self._check.compare(number, entry):
                await self._look_for(number, entry)

    async def _look_for(self, number: int, entry: Entry) -> None:
        """Look once more for an event that was not there in its place: it may have been committed after its place."""
        rows: Sequence[Told] = ()
        if not self._check.may_be_purged(entry):
            rows = await self._store.events(
                after=entry.sequence - 1, limit=1, project=self._project, partition=entry.partition
            )
        if rows and rows[0][0] == entry.sequence:
            self._check.found_late(number, entry, rows[0])
        else:
            self._check.miss(number, entry)

    async def read_rest(self) -> Instant | None:
        """Look at the events that no link names; return when the first of the unsealed ones happened."""
        self._check.take_waiting()
        while not self._ended:
            for told in await self._next():
                self._check.take_rest(told)
        return self._check.unsealed_since

    async def _next(self) -> Sequence[Told]:
        rows = await self._store.events(after=self._after, limit=_PAGE, project=self._project)
        self._ended = len(rows) < _PAGE
        self._after = rows[-1][0] if rows else self._after
        return rows
