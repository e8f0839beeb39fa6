"""Marks of `Store.follow`: how far each partition was followed, in one form on every engine.

A mark is the sequence up to which every partition was followed, and then those that were followed further. An engine
on which sequences follow the commits of all partitions needs the first number alone, but where what it holds was moved
there from another.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap

from sessiond.domain.events import Event
from sessiond.domain.ids import PARTITIONS, Partition

_FLOOR = struct.Struct(">Q")
_POSITION = struct.Struct(">HQ")


class Positions:
    """What a mark says."""

    def __init__(self, mark: bytes) -> None:
        self.floor: int = _FLOOR.unpack(mark[: _FLOOR.size])[0] if mark else 0
        self._reached: Mapping[Partition, int] = dict(_POSITION.iter_unpack(mark[_FLOOR.size :]))

    def of(self, partition: Partition) -> int:
        """Return up to which sequence a partition was followed."""
        return self._reached.get(partition, self.floor)

    def highest(self) -> int:
        """Return the highest sequence that was told."""
        return max(self._reached.values(), default=self.floor)

    def dense(self) -> list[int]:
        """Return up to which sequence each partition was followed, in their order."""
        reached = [self.floor] * PARTITIONS
        for partition, sequence in self._reached.items():
            reached[partition] = sequence
        return reached

    def after(self, told: Sequence[tuple[int, Event]], settled: int = 0) -> bytes:
        """Return the mark once *told* was, each partition's lowest sequence first.

        Everything up to *settled* is among what was told by now, whatever its partition.
        """
        floor = max(self.floor, settled)
        reached = {**self._reached, **{event.partition: sequence for sequence, event in told}}
        further = sorted(each for each in reached.items() if each[1] > floor)
        return _FLOOR.pack(floor) + b"".join(starmap(_POSITION.pack, further))

    def unknown(self, told: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
        """Return those of *told* that were not told before."""
        reached, floor = self._reached, self.floor
        return [row for row in told if row[0] > reached.get(row[1].partition, floor)]

    def within(self, sequence: int, partitions: Iterable[Partition]) -> bytes:
        """Return the mark once all below *sequence* was told, and at it what is of *partitions*."""
        further = {where: reached for where, reached in self._reached.items() if reached >= sequence}
        further |= dict.fromkeys(partitions, sequence)
        return _FLOOR.pack(sequence - 1) + b"".join(_POSITION.pack(*each) for each in sorted(further.items()))

    def at_the_end(self, sequence: int) -> bytes:
        """Return the mark once everything was told, the last at *sequence*, where later ones are above all others."""
        return _FLOOR.pack(max(self.highest(), sequence))
