"""Readings: the numbers of one process at one moment, and how those of several become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from sessiond.bootstrap.metrics.families import FAMILIES, Family, Join, Kind
from sessiond.services.measures import Durations

_BY_NAME = {family.name: family for family in FAMILIES}
_NS = 1e9

Labels = tuple[str, ...]
Numbers = list[float]


class Readings:
    """Numbers by family and labels: one, or for a histogram how many fell into each bucket, and their sum."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Labels, Numbers]] = {}

    def note(self, family: Family, value: float, *labels: str) -> None:
        """Add *value* to what is there."""
        self._join(family, labels, [value])

    def note_durations(self, family: Family, durations: Durations, *labels: str) -> None:
        """Add *durations* to what is there."""
        self._join(family, labels, [*durations.counts, durations.total_ns / _NS])

    def of(self, family: Family) -> Iterator[tuple[Labels, Sequence[float]]]:
        """Yield the numbers of *family* with their labels."""
        yield from self._numbers.get(family.name, {}).items()

    def join(self, other: Readings, *, ended: bool = False) -> None:
        """Join what another process read; of one that *ended* only what it counted is still true."""
        for name, found in other._numbers.items():
            family = _BY_NAME[name]
            if ended and family.kind is Kind.GAUGE:
                continue
            for labels, numbers in found.items():
                self._join(family, labels, numbers)

    def packed(self) -> bytes:
        """Return the readings as bytes."""
        return msgspec.msgpack.encode({name: list(found.items()) for name, found in self._numbers.items()})

    @classmethod
    def unpacked(cls, data: bytes) -> Readings:
        """Return the readings that were packed."""
        readings = cls()
        packed = msgspec.msgpack.decode(data, type=dict[str, list[tuple[Labels, Numbers]]])
        readings._numbers = {name: dict(found) for name, found in packed.items()}
        return readings

    def _join(self, family: Family, labels: Labels, numbers: Numbers) -> None:
        found = self._numbers.setdefault(family.name, {})
        former = found.get(labels)
        if former is None:
            found[labels] = list(numbers)
        elif family.join is Join.GREATEST:
            found[labels] = [max(pair) for pair in zip(former, numbers, strict=True)]
        else:
            found[labels] = [sum(pair) for pair in zip(former, numbers, strict=True)]
