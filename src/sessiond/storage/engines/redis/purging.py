"""Purging: partition by partition, each looked at with two reads, and written only where something may go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from sessiond.domain.ids import Partition
from sessiond.domain.instants import Instant
from sessiond.domain.records import Kind
from sessiond.storage.engines.redis.calls import Caller, answer_of, values_of
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.directory import Directory
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.nodes import Lane

_PARTITIONS_AT_ONCE = 128
_LARGEST_PORTION = 100
_SESSION = len(Kind.SESSION) + 1
_FIXED_KEYS = 4


class _Bounds(NamedTuple):
    ended_before: Instant
    due_before: Instant


class Purging:
    """The removal of what may go."""

    def __init__(self, layout: Layout, caller: Caller, directory: Directory) -> None:
        self._layout = layout
        self._caller = caller
        self._directory = directory

    async def purge(self, *, ended_before: Instant, due_before: Instant, limit: int) -> int:
        """Remove at most *limit* records."""
        bounds = _Bounds(ended_before, due_before)
        gone = 0
        partitions = await self._directory.holding_anything()
        for start in range(0, len(partitions), _PARTITIONS_AT_ONCE):
            some = partitions[start : start + _PARTITIONS_AT_ONCE]
            while gone < limit:
                portion = min(_LARGEST_PORTION, limit - gone)
                going = [each for each in await self._going(some, bounds, portion) if each[1] or each[2]]
                if not going:
                    break
                for partition, sessions, others in going:
                    left = limit - gone
                    if left > 0:
                        chosen = sessions[:left], others[: max(0, left - len(sessions))]
                        gone += await self._remove(partition, *chosen, bounds)
        return gone

    async def _going(
        self, partitions: Sequence[Partition], bounds: _Bounds, portion: int
    ) -> list[tuple[Partition, list[bytes], list[bytes]]]:
        """Return for each partition the fields of sessions and of other records that may go."""
        calls = []
        for partition in partitions:
            keys = self._layout[partition]
            for queue, before in ((keys.going, bounds.ended_before), (keys.due, bounds.due_before)):
                calls.append(
                    Call(keys.slot, ("ZRANGEBYSCORE", queue, "-inf", f"({before}", "LIMIT", 0, portion))
                )
        outcomes = await self._caller.call(calls, Lane.READ)
        fields = [[value for value in values_of(outcome) if value is not None] for outcome in outcomes]
        return list(zip(partitions, fields[::2], fields[1::2], strict=True))

    async def _remove(
        self, partition: Partition, sessions: Sequence[bytes], others: Sequence[bytes], bounds: _Bounds
    ) -> int:
        mine = self._layout[partition]
        arguments: list[bytes | int] = [*bounds]
        for n, field in enumerate(sessions):
            arguments += (_FIXED_KEYS + 1 + n, field)
        for field in others:
            arguments += (0, field)
        keys = [*mine.of_a_write[:_FIXED_KEYS], *(mine.sessions + field[_SESSION:] for field in sessions)]
        (outcome,) = await self._caller.call([script_call("purge", mine.slot, keys, arguments)], Lane.WRITE)
        return cast("int", answer_of(outcome))
