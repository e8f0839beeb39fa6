"""Events: each partition numbers its own, by the server's time; lists of all partitions merge them.

The highest sequence ever written is not looked for in 4,096 places: each node raises one number in the control
partition to the highest that was acknowledged to it, when it is asked. It tells there, too, in which partitions it
told something: whoever follows looks at those often, and at all of them less often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import cast

from sessiond.domain.events import Event
from sessiond.domain.ids import Partition, ProjectId
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.storage.engines.redis.calls import Caller, answer_of, values_of
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.directory import Directory
from sessiond.storage.engines.redis.layout import Layout, event_from, event_value
from sessiond.storage.engines.redis.merging import merged
from sessiond.storage.engines.redis.nodes import Lane
from sessiond.storage.engines.redis.writing import Writing
from sessiond.storage.positions import Positions

_CALLS_AT_ONCE = 256
_LARGEST_PORTION = 100
_MINUTE_US = 60_000_000

Told = tuple[int, Event]
_sequence = itemgetter(0)


class Outbox:
    """Every read of events, and their rewriting and removal."""

    def __init__(self, layout: Layout, caller: Caller, directory: Directory) -> None:
        self._layout = layout
        self._caller = caller
        self._directory = directory
        self._highest = layout.of_control(b"newest")
        self._changed = layout.of_control(b"changed")
        self._control = layout[CONTROL_PARTITION].slot

    async def newest(self, writing: Writing) -> int:
        """Return the highest sequence that any node acknowledged, once the others can know what *writing* has told."""
        told, writing.told = writing.told, {}
        arguments: list[bytes | int] = [writing.newest]
        for partition, sequence in told.items():
            arguments += sequence, partition.to_bytes(2)
        call = script_call("raise", self._control, [self._highest, self._changed], arguments)
        try:
            (outcome,) = await self._caller.call([call], Lane.WRITE)
            return int(cast("bytes", answer_of(outcome)))
        except BaseException:
            writing.told = told | writing.told
            raise

    async def read(
        self, *, after: int, limit: int, project: ProjectId | None, partition: Partition | None
    ) -> Sequence[Told]:
        """Return events above a sequence, lowest first."""
        everywhere = await self._directory.holding_anything() if partition is None else [partition]
        return await self._read(everywhere, lambda _: after, limit, project)

    async def follow(self, positions: Positions, limit: int, *, everywhere: bool) -> Sequence[Told]:
        """Return events above the position of their partition, which is told up to somewhere before another begins.

        They are looked for *everywhere*, or where nodes told that there are some.
        """
        if everywhere:
            partitions = await self._directory.holding_anything()
        else:
            partitions = await self._ahead_of(positions)
        found: list[Told] = []
        for start in range(0, len(partitions), _CALLS_AT_ONCE):
            reached = {each: positions.of(each) for each in partitions[start : start + _CALLS_AT_ONCE]}
            while reached and len(found) < limit:
                portion = 1 + 2 * (limit - len(found)) // len(reached)
                calls = [self._range(each, after, portion) for each, after in reached.items()]
                outcomes = await self._caller.call(calls, Lane.READ)
                unfinished: dict[Partition, int] = {}
                for each, outcome in zip(reached, outcomes, strict=True):
                    told = [event_from(member) for member in values_of(outcome) if member is not None]
                    found += told
                    if len(told) == portion:
                        unfinished[each] = told[-1][0]
                reached = unfinished
        return sorted(found[:limit], key=_sequence)

    async def _ahead_of(self, positions: Positions) -> list[Partition]:
        """Return the partitions of which nodes told, within a minute of the servers' time, that there is more."""
        since = positions.highest() - _MINUTE_US
        command = ("ZRANGEBYSCORE", self._changed, since, "+inf", "WITHSCORES")
        (outcome,) = await self._caller.call([Call(self._control, command)], Lane.READ)
        flat = iter(cast("list[bytes]", answer_of(outcome)))
        told = (
            (Partition(int.from_bytes(member)), int(sequence))
            for member, sequence in zip(flat, flat, strict=True)
        )
        return [partition for partition, sequence in told if sequence > positions.of(partition)]

    async def _read(
        self,
        everywhere: Sequence[Partition],
        after: Callable[[Partition], int],
        limit: int,
        project: ProjectId | None,
    ) -> Sequence[Told]:
        found: list[Told] = []
        if limit <= 0:
            return found

        async def fetch(
            wanted: Sequence[tuple[Partition, Told | None]], portion: int
        ) -> Sequence[Sequence[Told]]:
            fetched: list[Sequence[Told]] = []
            for start in range(0, len(wanted), _CALLS_AT_ONCE):
                some = wanted[start : start + _CALLS_AT_ONCE]
                calls = [
                    self._range(each, after(each) if last is None else last[0], portion)
                    for each, last in some
                ]
                outcomes = await self._caller.call(calls, Lane.READ)
                fetched += [
                    [event_from(member) for member in values_of(outcome) if member is not None]
                    for outcome in outcomes
                ]
            return fetched

        async for told in merged(everywhere, fetch, expected=limit, order=lambda told: told[0]):
            if project in {None, told[1].project}:
                found.append(told)
                if len(found) == limit:
                    break
        return found

    def _range(self, partition: Partition, after: int, portion: int) -> Call:
        keys = self._layout[partition]
        return Call(keys.slot, ("ZRANGEBYSCORE", keys.events, f"({after}", "+inf", "LIMIT", 0, portion))

    async def rewrite(self, rewritten: Sequence[Told]) -> None:
        """Replace what is told at each sequence, durably."""
        together: dict[Partition, list[bytes | int]] = {}
        for sequence, event in rewritten:
            together.setdefault(event.partition, []).extend((sequence, event_value(event)))
        calls = []
        for partition, arguments in together.items():
            keys = self._layout[partition]
            calls.append(script_call("rewrite_events", keys.slot, [keys.events, keys.records], arguments))
        for outcome in await self._caller.call(calls, Lane.WRITE):
            answer_of(outcome)

    async def purge(self, *, before: Instant, limit: int) -> int:
        """Remove at most *limit* of the oldest events of before an instant, partition by partition."""
        gone = 0
        partitions = await self._directory.holding_anything()
        for start in range(0, len(partitions), _CALLS_AT_ONCE):
            some = partitions[start : start + _CALLS_AT_ONCE]
            firsts = await self._caller.call([self._range(each, 0, 1) for each in some], Lane.READ)
            for partition, first in zip(some, firsts, strict=True):
                members = [member for member in values_of(first) if member is not None]
                if not members or int.from_bytes(members[0][8:16]) >= before:
                    continue
                gone += await self._purge_one(partition, before, limit - gone)
                if gone >= limit:
                    return gone
        return gone

    async def _purge_one(self, partition: Partition, before: Instant, limit: int) -> int:
        keys = self._layout[partition]
        gone = 0
        while gone < limit:
            portion = min(_LARGEST_PORTION, limit - gone)
            call = script_call("purge_events", keys.slot, [keys.events, keys.records], [before, portion])
            (outcome,) = await self._caller.call([call], Lane.WRITE)
            went = cast("int", answer_of(outcome))
            gone += went
            if went < portion:
                break
        return gone
