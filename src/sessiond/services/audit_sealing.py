"""Sealing: what happened is chained by hash within a second, by whoever holds the lease.

The lease spares the others the work; it is not what keeps a chain whole. A head is replaced by compare-and-swap, and
bears the fence of the lease under which it was written: who lost the lease without noticing cannot append.
"""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import pairwise

import msgspec

from sessiond.domain.audit_chain import (
    LEASE_MS,
    MOST_ENTRIES,
    RENEWED_EVERY_MS,
    Entry,
    Head,
    Lease,
    Link,
    Tag,
    Told,
    appended,
    entry_of,
    head_key,
    lease_key,
    link_key,
    without_first,
)
from sessiond.domain.errors import Conflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Record
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Store

CHAIN = SubjectId("")
"""No subject has this id, so the partition of a project's chain is that of nobody in particular."""

LOOKED_EVERY_MS = 30_000
"""How often every partition is looked at though no higher sequence is known: a lower one may be committed later."""

_ATTEMPTS = 3
_CHAINS_AT_ONCE = 64
_DROPPED_AT_ONCE = 4
_TAGGED_AT_ONCE = 64
_SETTLED_MS = 60_000
_HOUR_MS = 3_600_000


def chain_partition(keys: Keys, project: ProjectId) -> Partition:
    """Return where the chain of *project* lies."""
    return keys.partition(project, CHAIN)


def tag_of(keys: Keys, project: ProjectId) -> Tag:
    """Return the keyed hash of the audit of *project*."""
    return partial(keys.ring.audit_tag, project)


def proof_of(keys: Keys, project: ProjectId) -> Callable[[bytes], str]:
    """Return the keyed hash, as text, by which events of *project* prove that erasing rewrote them."""
    tag = tag_of(keys, project)
    return lambda message: base64.urlsafe_b64encode(tag(message)).rstrip(b"=").decode()


class _Holding(msgspec.Struct):
    """What the holder of the lease knows, from taking it to losing it.

    Up to the turn *taken* nobody before sealed anything beyond the mark of then. *mark* is how far events were read,
    *sealed* how far all were sealed by the end of *sealed_turn*. What is *waiting* was read in the present *turn*; of
    the projects in *unsure* a write may have happened. *newest* was the highest sequence when all was sealed last.
    """

    lease: Lease
    taken: int
    mark: bytes
    sealed: bytes
    turn: int
    sealed_turn: int
    sealed_until: Instant
    newest: int = -1
    waiting: dict[ProjectId, list[Told]] = {}
    unsure: set[ProjectId] = set()

    @classmethod
    def of(cls, lease: Lease) -> _Holding:
        """Return what is known to who has just taken *lease*."""
        return cls(
            lease=lease,
            taken=lease.turn,
            mark=lease.mark,
            sealed=lease.mark,
            turn=lease.turn,
            sealed_turn=lease.turn,
            sealed_until=lease.sealed_until,
        )


class Sealer:
    """Seals the events of every project, one link for each project at a time.

    *sealed* counts the events that this process has sealed, by type.
    """

    def __init__(self, store: Store, keys: Keys, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._name = entropy.bytes(8).hex()
        self._holding: _Holding | None = None
        self._new_heads: dict[ProjectId, Head] = {}
        self.sealed: Counter[EventType] = Counter()

    async def seal(self) -> bool:
        """Seal what is new, if this process has the lease or can take it; tell whether more may wait.

        Raises what the store does; then nothing is lost, and the next call goes on.
        """
        holding = self._holding = await self._held()
        if holding is None:
            return False
        started, newest, more = self._clock.now(), await self._store.newest_event(), True
        if not holding.waiting:
            if newest == holding.newest and started - holding.sealed_until < LOOKED_EVERY_MS:
                return False
            rows, holding.mark = await self._store.follow(holding.mark, limit=MOST_ENTRIES)
            holding.turn += 1 if rows else 0
            more = len(rows) == MOST_ENTRIES
            for row in rows:
                holding.waiting.setdefault(row[1].project, []).append(row)
        if not await self._seal_all(holding):
            self._holding = None
            return False
        holding.sealed, holding.sealed_turn = holding.mark, holding.turn
        if not more:
            holding.sealed_until, holding.newest = started, newest
        return more

    async def release(self) -> None:
        """Let go of the lease, so that another takes it at once."""
        holding, self._holding = self._holding, None
        if holding is None:
            return
        try:
            await self._write(_as_of(holding, holding.lease).released(), holding.lease.version)
        except Conflict:
            return  # somebody has taken it already

    def take_new_heads(self) -> Sequence[Head]:
        """Return the newest head of each project that was sealed since the last call."""
        heads, self._new_heads = self._new_heads, {}
        return list(heads.values())

    async def allow_purge(self, before: Instant) -> Instant:
        """Note that events of before an instant may go, where they are sealed; return before which they may.

        It moves in whole hours, and stays a minute behind the sealing: the clocks of nodes differ.
        """
        for _ in range(_ATTEMPTS):
            lease = await self._lease()
            if lease is None:
                return 0
            allowed = min(before, lease.sealed_until - _SETTLED_MS) // _HOUR_MS * _HOUR_MS
            if allowed <= lease.purged_before:
                return min(before, lease.purged_before)
            noted = msgspec.structs.replace(lease, purged_before=allowed, version=lease.version + 1)
            try:
                await self._write(noted, lease.version)
            except Conflict:
                continue
            return allowed
        return 0

    # -- the lease --------------------------------------------------------------------------------------------------

    async def _held(self) -> _Holding | None:
        """Return what this process holds, renewed where it is time; None while somebody else has the lease."""
        holding, now = self._holding, self._clock.now()
        if holding is not None and LEASE_MS - RENEWED_EVERY_MS < holding.lease.until - now <= LEASE_MS:
            return holding
        for _ in range(_ATTEMPTS):
            found = await self._lease()
            mine = holding if found is not None and _is_of(holding, found) else None
            if found is not None and mine is None and not found.is_free(now):
                return None
            former = found or Lease(version=0, holder="", until=0, fence=0)
            following = former.taken(self._name, now) if mine is None else _as_of(mine, former).renewed(now)
            try:
                written = await self._write(following, former.version)
            except Conflict:
                continue
            if mine is None:
                return _Holding.of(written)
            mine.lease = written
            return mine
        return None

    async def _lease(self) -> Lease | None:
        found = await self._store.get(lease_key())
        return found if isinstance(found, Lease) else None

    async def _write(self, lease: Lease, version: int) -> Lease:
        """Write the lease if its version is still *version*; else `Conflict`."""
        signed = lease.signed(tag_of(self._keys, DEFAULT_PROJECT))
        key = signed.key
        await self._store.apply(Change(partition=key.partition, expects={key: version}, puts=[signed]))
        return signed

    # -- the chains -------------------------------------------------------------------------------------------------

    async def _seal_all(self, holding: _Holding) -> bool:
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

    async def _seal(self, holding: _Holding, project: ProjectId) -> bool:
        """Append what waits of *project* to its chain; False where another has the lease by now."""
        partition, rows = chain_partition(self._keys, project), holding.waiting[project]
        found = await self._store.get(head_key(project, partition))
        head = found if isinstance(found, Head) else None
        if (
            head is not None and head.fence > holding.lease.fence
        ) or self._clock.now() >= holding.lease.until:
            return False
        tag = tag_of(self._keys, project)
        entries = await _entries(rows, tag)
        if head is not None and (head.fence < holding.lease.fence or project in holding.unsure):
            since = holding.sealed_turn if head.fence == holding.lease.fence else holding.taken
            known = await self._sealed_after(since, head)
            entries = [entry for entry in entries if entry[:2] not in known]
        if entries:
            holding.unsure.add(project)
            await self._append(holding, head, entries, project, partition)
            written = {entry[:2] for entry in entries}
            self.sealed.update(event.type for n, event in rows if (event.partition, n) in written)
        holding.unsure.discard(project)
        del holding.waiting[project]
        return True

    async def _append(
        self,
        holding: _Holding,
        head: Head | None,
        entries: Sequence[Entry],
        project: ProjectId,
        partition: Partition,
    ) -> None:
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

    async def _sealed_after(self, turn: int, head: Head) -> Collection[tuple[Partition, int]]:
        """Return what the newest links name, back to one of *turn* or before."""
        found: set[tuple[Partition, int]] = set()
        for number in range(head.number, head.first - 1, -1):
            (link,) = await read_links(self._store, head, [number])
            if link is None or link.turn <= turn:
                break
            found.update(entry[:2] for entry in link.entries())
        return found


async def read_links(store: Store, head: Head, numbers: Sequence[int]) -> Sequence[Link | None]:
    """Return the links of the chain of *head* by their numbers, None where there is none."""
    rows = await store.get_many([link_key(head.project, head.partition, number) for number in numbers])
    return [row if isinstance(row, Link) else None for row in rows]


async def _entries(rows: Sequence[Told], tag: Tag) -> Sequence[Entry]:
    """Return what a link says of *rows*; requests are answered in between."""
    entries: list[Entry] = []
    for sequence, event in rows:
        entries.append(entry_of(sequence, event, tag))
        if len(entries) % _TAGGED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return entries


def _is_of(holding: _Holding | None, lease: Lease) -> bool:
    return holding is not None and lease.fence == holding.lease.fence


def _as_of(holding: _Holding, lease: Lease) -> Lease:
    """Return *lease* with how far its holder has come."""
    return msgspec.structs.replace(
        lease, mark=holding.sealed, turn=holding.sealed_turn, sealed_until=holding.sealed_until
    )
