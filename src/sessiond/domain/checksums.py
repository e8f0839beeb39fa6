"""Checksums of what a store holds, by partition and kind: equal for equal contents, in whatever order they are met."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import Partition
from sessiond.domain.projects import Deployment
from sessiond.domain.records import Record

EVENT = "event"
"""How events are named beside the kinds of records."""

_MODULUS = 1 << 256
_encode = msgspec.msgpack.Encoder(order="deterministic").encode

_Group = tuple[Partition, str]
"""A partition and a kind."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Where two stores differ: how many each holds, and whether, where those are as many, they are others."""

    partition: Partition
    kind: str
    source: int
    target: int


class Checksums:
    """Counts, and sums of SHA-256 over each record or event, so that no order is needed."""

    def __init__(self) -> None:
        self._counts: dict[_Group, int] = {}
        self._sums: dict[_Group, int] = {}

    def add(self, records: Sequence[Record], events: Sequence[tuple[int, Event]]) -> None:
        """Count *records* and *events*."""
        for record in records:
            key = record.key
            self._add((key.partition, key.kind), _encode((key, unmarked(record))))
        for sequence, event in events:
            self._add((event.partition, EVENT), _encode((sequence, event)))

    def _add(self, group: _Group, encoded: bytes) -> None:
        self._counts[group] = self._counts.get(group, 0) + 1
        digest = int.from_bytes(hashlib.sha256(encoded).digest())
        self._sums[group] = (self._sums.get(group, 0) + digest) % _MODULUS

    @property
    def total(self) -> int:
        """How many records and events were counted."""
        return sum(self._counts.values())

    def differences(self, target: Checksums) -> list[Difference]:
        """Return where these, the source's, and the *target*'s are not the same."""
        return [
            Difference(
                partition=group[0], kind=group[1], source=self._at(group)[0], target=target._at(group)[0]
            )
            for group in sorted(self._sums.keys() | target._sums.keys())
            if self._at(group) != target._at(group)
        ]

    def _at(self, group: _Group) -> tuple[int, int]:
        return self._counts.get(group, 0), self._sums.get(group, 0)


def unmarked(record: Record) -> Record:
    """Return *record* without what a move itself writes: the deployment's marks, and the versions that they cost."""
    if isinstance(record, Deployment):
        return msgspec.structs.replace(record, arriving=None, departed=None, version=0)
    return record
