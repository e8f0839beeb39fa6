"""The control records: what nearly every request stands on, read in batches of their own and decoded when they change.

They lie in one partition. A batch is asked for after whoever needs it came, so that a change counts for whatever is
asked after it was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Record
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.cache import Recent
from sessiond.storage.engines.redis.batches import Batches
from sessiond.storage.engines.redis.calls import Call, Caller, values_of
from sessiond.storage.engines.redis.calls import Outcome as CallOutcome
from sessiond.storage.engines.redis.layout import Layout, field, record_from, stamp_of
from sessiond.storage.engines.redis.nodes import Lane, Nodes

_MOST_REMEMBERED = 2000

Found = Mapping[Key, Record | None]
"""Control records that were read, None where absent."""


class _Wanted(NamedTuple):
    """The records that somebody needs."""

    wanted: Sequence[Key]

    @property
    def keys(self) -> Sequence[Key]:
        """Nothing is written."""
        return ()


class _Known(NamedTuple):
    """A record that was read, and its stamp."""

    stamp: bytes
    record: Record


class Controls:
    """Reads control records, one batch at a time."""

    def __init__(self, layout: Layout, nodes: Nodes, caller: Caller, counts: BatchCounts) -> None:
        self._home = layout[CONTROL_PARTITION]
        self._caller = caller
        self._known: Recent[Key, _Known] = Recent(_MOST_REMEMBERED)
        self._batches: Batches[_Wanted] = Batches(nodes, self._run, counts)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._batches.close()

    def read(self, keys: Sequence[Key]) -> asyncio.Future[object]:
        """Ask in the next batch: the future holds the records at *keys*, None where absent, all as of one instant."""
        return self._batches.submit(self._home.slot, _Wanted(keys))

    def call(self, keys: Sequence[Key]) -> Call:
        """Return the call that reads the records at *keys*, for a batch of something else; `learn` takes its answer."""
        return Call(self._home.slot, ("HMGET", self._home.records, *map(field, keys)))

    def learn(self, keys: Sequence[Key], outcome: CallOutcome) -> Found:
        """Return the records that a call came to. Raises `Unavailable`."""
        found: dict[Key, Record | None] = {}
        for key, value in zip(keys, values_of(outcome), strict=True):
            found[key] = None if value is None else self._decoded(key, value)
        return found

    async def _run(self, wanted: Sequence[_Wanted]) -> Sequence[Outcome]:
        keys = list(dict.fromkeys(key for each in wanted for key in each.wanted))
        (outcome,) = await self._caller.call([self.call(keys)], Lane.READ, patient=False)
        found = self.learn(keys, outcome)
        return [[found[key] for key in each.wanted] for each in wanted]

    def _decoded(self, key: Key, value: bytes) -> Record:
        """Return the record that *value* holds, decoded once for each writing of it."""
        stamp = stamp_of(value)
        known = self._known.get(key)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, record_from(key.kind, value))
            self._known.put(key, known)
        return known.record
