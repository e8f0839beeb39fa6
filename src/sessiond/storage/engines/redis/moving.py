"""Moving: walking through partition after partition by its index, events under given sequences, and the fence."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import Partition, ProjectId, id_text
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Kind
from sessiond.services.movable import BEGINNING, Number, Stretch
from sessiond.storage.engines.redis.calls import Caller, answer_of, values_of
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.directory import Directory
from sessiond.storage.engines.redis.layout import FENCE, Layout, event_from, event_value
from sessiond.storage.engines.redis.nodes import Lane
from sessiond.storage.engines.redis.reading import Reading

_CALLS_AT_ONCE = 256
_EVERY_RECORD = b"x"


class _Place(msgspec.Struct, frozen=True):
    """Behind the index member *entry* of this partition, or behind the event *sequence* once all entries were met."""

    partition: int = -1
    entry: bytes | None = None
    sequence: int = 0


_decode = msgspec.json.Decoder(_Place).decode


class Passage:
    """What the mover asks of one namespace."""

    def __init__(self, layout: Layout, caller: Caller, directory: Directory, reading: Reading) -> None:
        self._layout = layout
        self._caller = caller
        self._directory = directory
        self._reading = reading
        self._order: list[Partition] = []

    async def walk(self, place: str, limit: int) -> Stretch:
        """Return what lies behind *place*, from one partition."""
        behind = _Place() if place == BEGINNING else _decode(place)
        if behind.partition < 0 or not self._order:
            # A partition that comes into use later is met by the next walk.
            self._order = sorted(await self._directory.holding_anything())
        if behind.partition < 0:
            return Stretch(place=self._after(-1))
        partition = Partition(behind.partition)
        if behind.entry is None:
            return await self._events(partition, behind.sequence, limit)
        return await self._records(partition, behind.entry, limit)

    async def _records(self, partition: Partition, entry: bytes, limit: int) -> Stretch:
        keys = self._layout[partition]
        lowest = b"(" + entry if entry else b"[" + _EVERY_RECORD
        command = ("ZRANGEBYLEX", keys.entries, lowest, "+", "LIMIT", 0, limit)
        (outcome,) = await self._caller.call([Call(keys.slot, command)], Lane.READ)
        members = [member for member in values_of(outcome) if member is not None]
        found = await self._reading.records([_key(partition, member) for member in members])
        following = _Place(partition, members[-1]) if len(members) == limit else _Place(partition)
        # A session whose key has left by itself is in the index still.
        return Stretch(records=[record for record in found if record is not None], place=_text(following))

    async def _events(self, partition: Partition, after: int, limit: int) -> Stretch:
        keys = self._layout[partition]
        command = ("ZRANGEBYSCORE", keys.events, f"({after}", "+inf", "LIMIT", 0, limit)
        (outcome,) = await self._caller.call([Call(keys.slot, command)], Lane.READ)
        told = [event_from(member) for member in values_of(outcome) if member is not None]
        if len(told) == limit:
            return Stretch(events=told, place=_text(_Place(partition, None, told[-1][0])))
        return Stretch(events=told, place=self._after(partition))

    def _after(self, partition: int) -> str | None:
        following = next((each for each in self._order if each > partition), None)
        return None if following is None else _text(_Place(following, b""))

    async def find_events(self, numbers: Sequence[Number]) -> list[Event | None]:
        """Return the events at *numbers*, None where there is none."""
        calls = [
            Call(keys.slot, ("ZRANGEBYSCORE", keys.events, sequence, sequence))
            for keys, sequence in ((self._layout[partition], sequence) for partition, sequence in numbers)
        ]
        found: list[Event | None] = []
        for start in range(0, len(calls), _CALLS_AT_ONCE):
            for outcome in await self._caller.call(calls[start : start + _CALLS_AT_ONCE], Lane.READ):
                members = [member for member in values_of(outcome) if member is not None]
                found.append(event_from(members[0])[1] if members else None)
        return found

    async def adopt_events(self, told: Sequence[tuple[int, Event]], newest: int) -> None:
        """Put each event at its sequence."""
        together: dict[Partition, list[bytes | int]] = {}
        for sequence, event in told:
            together.setdefault(event.partition, []).extend((sequence, event_value(event)))
        missing = self._directory.missing(together)
        if missing:
            await self._directory.enter(missing)
        calls = []
        for partition, arguments in together.items():
            keys = self._layout[partition]
            calls.append(script_call("adopt_events", keys.slot, [keys.records, keys.events], arguments))
        highest = max([newest, *(sequence for sequence, _ in told)])
        control = self._layout[CONTROL_PARTITION].slot
        calls.append(script_call("raise", control, [self._layout.of_control(b"newest")], [highest]))
        # What later events are numbered by, the servers' clocks, is above every sequence of another engine.
        await self._write(calls)

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        """Remove events."""
        await self._write(
            [
                Call(keys.slot, ("ZREMRANGEBYSCORE", keys.events, sequence, sequence))
                for keys, sequence in ((self._layout[partition], sequence) for partition, sequence in numbers)
            ]
        )

    async def fence(self, *, up: bool) -> None:
        """Mark every partition, or none; each write looks for the mark of its own."""
        verb, values = ("HSET", (FENCE, 1)) if up else ("HDEL", (FENCE,))
        await self._write(
            [Call(keys.slot, (verb, keys.records, *values)) for keys in self._layout.partitions]
        )

    async def _write(self, calls: Sequence[Call]) -> None:
        for start in range(0, len(calls), _CALLS_AT_ONCE):
            for outcome in await self._caller.call(calls[start : start + _CALLS_AT_ONCE], Lane.WRITE):
                answer_of(outcome)


def _key(partition: Partition, member: bytes) -> Key:
    """Return the key of the record that an index member tells of: `x`, kind, 0, project, instant, id, instant."""
    end = member.index(b"\0")
    project = ProjectId(id_text(member[end + 1 : end + 17]))
    return Key(Kind(member[1:end].decode()), partition, project, member[end + 25 : -8])


def _text(place: _Place) -> str:
    return msgspec.json.encode(place).decode()
