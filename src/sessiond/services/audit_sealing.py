"""Sealing: what happened is chained by hash within a second, by whoever holds the lease.

The lease spares the others the work; it is not what keeps a chain whole. A head is replaced by compare-and-swap, and
bears the fence of the lease under which it was written: who lost the lease without noticing cannot append.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from sessiond.domain.audit_chain import (
    MOST_ENTRIES,
    Entry,
    Head,
    Link,
    Tag,
    Told,
    appended,
    entry_of,
    head_key,
    without_first,
)
from sessiond.domain.errors import Conflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import Partition, ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Record
from sessiond.services.audit_chains import chain_partition, read_links, tag_of
from sessiond.services.audit_lease import Holding, Place, SealingLease
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store

LOOKED_EVERY_MS = 10_000
"""How often every partition is looked at though nothing is known of it: a lower sequence may be committed later than a
higher one, and who wrote be gone before it told of it."""

FOLLOWED_AT_ONCE = 4 * MOST_ENTRIES
"""How many events are read at once: to look for them costs as much for one as for all of a second."""

_CHAINS_AT_ONCE = 64
_DROPPED_AT_ONCE = 4
_TAGGED_AT_ONCE = 64


class Sealer:
    """Seals the events of every project, one link for each project at a time.

    *sealed* counts the events that this process has sealed, by type.
    """

    def __init__(self, store: Store, keys: Keys, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._lease = SealingLease(store, keys, clock, name=entropy.bytes(8).hex())
        self._holding: Holding | None = None
        self._new_heads: dict[ProjectId, Head] = {}
        self.sealed: Counter[EventType] = Counter()

    async def seal(self) -> bool:
        """Seal what is new, if this process has the lease or can take it; tell whether more may wait.

        Raises what the store does; then nothing is lost, and the next call goes on.
        """
        holding = self._holding = await self._lease.held(self._holding)
        if holding is None:
            return False
        started, more = self._clock.now(), True
        everywhere = not 0 <= started - holding.looked_at < LOOKED_EVERY_MS
        if not holding.waiting:
            await self._store.newest_event()  # so that what this process wrote is not left for later
            rows, holding.mark = await self._store.follow(
                holding.mark, limit=FOLLOWED_AT_ONCE, everywhere=everywhere
            )
            if not rows and not everywhere:
                return False
            holding.turn += 1 if rows else 0
            more = len(rows) == FOLLOWED_AT_ONCE
            for row in rows:
                holding.waiting.setdefault(row[1].project, []).append(row)
        if not await self._seal_all(holding):
            self._holding = None
            return False
        holding.sealed, holding.sealed_turn = holding.mark, holding.turn
        if everywhere and not more:
            holding.sealed_until = holding.looked_at = started
            holding.former.clear()
        return more

    async def release(self) -> None:
        """Let go of the lease, so that another takes it at once."""
        holding, self._holding = self._holding, None
        if holding is not None:
            await self._lease.release(holding)

    async def allow_purge(self, before: Instant) -> Instant:
        """Note that events of before an instant may go, where they are sealed; return before which they may."""
        return await self._lease.allow_purge(before)

    def take_new_heads(self) -> Sequence[Head]:
        """Return the newest head of each project that was sealed since the last call."""
        heads, self._new_heads = self._new_heads, {}
        return list(heads.values())

    async def _seal_all(self, holding: Holding) -> bool:
        """Append what waits to the chains, some beside each other; False where another has the lease by now."""
        projects = list(holding.waiting)
        for start in range(0, len(projects), _CHAINS_AT_ONCE):
            some = projects[start : start + _CHAINS_AT_ONCE]
            outcomes = await asyncio.gather(
                *(self._seal(holding, project) for project in some), return_exceptions=True
            )
            for outcome in outcomes:
                if not outcome or isinstance(outcome, Conflict):
                    return False
                if isinstance(outcome, BaseException):
                    raise outcome
        return True

    async def _seal(self, holding: Holding, project: ProjectId) -> bool:
        """Append what waits of *project* to its chain; False where another has the lease by now."""
        partition, rows = chain_partition(self._keys, project), holding.waiting[project]
        found = await self._store.get(head_key(project, partition))
        head = found if isinstance(found, Head) else None
        if head is not None and head.fence > holding.lease.fence:
            return False
        if head is not None and head.fence < holding.lease.fence:
            holding.former[project] = await self._sealed_after(holding.taken, head)
        known = holding.former.get(project, set())
        if head is not None and head.fence == holding.lease.fence and project in holding.unsure:
            known = known | await self._sealed_after(holding.sealed_turn, head)
        if known and head is not None:
            rows = [row for row in rows if (row[1].partition, row[0]) not in known]
            self._new_heads[project] = head  # who wrote it may have been stopped before it could tell of it
        tag = tag_of(self._keys, project)
        for start in range(0, len(rows), MOST_ENTRIES):
            some = rows[start : start + MOST_ENTRIES]
            entries = await _entries(some, tag)
            if self._clock.now() >= holding.lease.until:
                return False
            holding.unsure.add(project)
            head = await self._append(holding, head, entries, project, partition)
            self.sealed.update([event.type for _, event in some])
        holding.unsure.discard(project)
        del holding.waiting[project]
        return True

    async def _append(
        self,
        holding: Holding,
        head: Head | None,
        entries: Sequence[Entry],
        project: ProjectId,
        partition: Partition,
    ) -> Head:
        """Write the link that names *entries* after *head*; return the head that follows."""
        link, following = appended(
            head,
            entries,
            project=project,
            partition=partition,
            now=self._clock.now(),
            turn=holding.turn,
            fence=holding.lease.fence,
        )
        expects: dict[Key, int] = {following.key: following.version - 1, link.key: 0}
        following, gone = await self._without_purged(following, holding.lease.purged_before)
        expects |= {each.key: each.version for each in gone}
        following = following.signed(tag_of(self._keys, project))
        puts: Sequence[Record] = (link, following)
        await self._store.apply(
            Change(partition=partition, expects=expects, puts=puts, deletes=[each.key for each in gone])
        )
        self._new_heads[project] = following
        return following

    async def _without_purged(self, head: Head, purged_before: Instant) -> tuple[Head, Sequence[Link]]:
        """Return the head without its first links whose events may all be gone, a few at a time; and those links."""
        gone: list[Link] = []
        if head.first_until >= purged_before or head.first + 1 >= head.number:
            return head, gone
        numbers = range(head.first, min(head.first + _DROPPED_AT_ONCE + 1, head.number))
        links = await read_links(self._store, head, numbers)
        for first, second in pairwise(links):
            if first is None or second is None or head.first_until >= purged_before:
                break
            head = without_first(head, first, second)
            gone.append(first)
        return head, gone

    async def _sealed_after(self, turn: int, head: Head) -> set[Place]:
        """Return what the newest links name, back to one of *turn* or before."""
        found: set[Place] = set()
        for number in range(head.number, head.first - 1, -1):
            (link,) = await read_links(self._store, head, [number])
            if link is None or link.turn <= turn:
                break
            found.update(entry[:2] for entry in link.entries())
        return found


async def _entries(rows: Sequence[Told], tag: Tag) -> Sequence[Entry]:
    """Return what a link says of *rows*; requests are answered in between."""
    entries: list[Entry] = []
    for start in range(0, len(rows), _TAGGED_AT_ONCE):
        entries += [
            entry_of(sequence, event, tag) for sequence, event in rows[start : start + _TAGGED_AT_ONCE]
        ]
        await asyncio.sleep(0)
    return entries
