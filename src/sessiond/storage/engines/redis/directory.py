"""The directory: which partitions may hold records of a kind and project, and which hold anything at all.

It lies with the control records. An entry is made, durably, before the first record that needs it, and never removed;
so it may tell of a partition that holds nothing (any more), and never leaves out one that does. A node remembers what
it has entered, so that nearly every write finds its entries made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sessiond.domain.ids import Partition, ProjectId, id_text
from sessiond.domain.records import Kind
from sessiond.storage.cache import Recent
from sessiond.storage.engines.redis.calls import Caller, answer_of, values_of
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.layout import Layout, prefix
from sessiond.storage.engines.redis.nodes import Lane

_REMEMBERED = 1 << 17
_ANYTHING = b"*"
_AFTER_ALL = b"\xff" * 19
_CONTROL = Partition(0)

Entry = tuple[Kind, ProjectId, Partition] | Partition
"""A kind of a project in a partition, or anything in a partition."""


class Directory:
    """What this node knows of the directory."""

    def __init__(self, layout: Layout, caller: Caller) -> None:
        self._key = layout.of_control(b"directory")
        self._slot = layout[_CONTROL].slot
        self._caller = caller
        self._entered: Recent[Entry, bool] = Recent(_REMEMBERED)

    def missing(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return those of *entries* that this node did not make yet."""
        return list(dict.fromkeys([entry for entry in entries if not self._entered.get(entry)]))

    async def enter(self, entries: Sequence[Entry]) -> None:
        """Make *entries*, durably. Raises `Unavailable`."""
        flat = [part for entry in entries for part in (0, _member(entry))]
        (outcome,) = await self._caller.call([Call(self._slot, ("ZADD", self._key, *flat))], Lane.WRITE)
        answer_of(outcome)
        for entry in entries:
            self._entered.put(entry, True)  # noqa: FBT003  a set that forgets

    async def holding(self, kind: Kind, project: ProjectId | None) -> list[tuple[ProjectId, Partition]]:
        """Return the projects and partitions that may hold records of *kind*."""
        beginning = kind.encode() + b"\0" if project is None else prefix(kind, project)
        skipped = len(kind) + 1
        return [
            (ProjectId(id_text(member[skipped : skipped + 16])), Partition(int.from_bytes(member[-2:])))
            for member in await self._members(beginning)
        ]

    async def holding_anything(self) -> list[Partition]:
        """Return the partitions that may hold anything."""
        return [Partition(int.from_bytes(member[-2:])) for member in await self._members(_ANYTHING)]

    async def _members(self, beginning: bytes) -> list[bytes]:
        command = ("ZRANGEBYLEX", self._key, b"[" + beginning, b"[" + beginning + _AFTER_ALL)
        (outcome,) = await self._caller.call([Call(self._slot, command)], Lane.READ)
        return [value for value in values_of(outcome) if value is not None]


def _member(entry: Entry) -> bytes:
    if isinstance(entry, tuple):
        kind, project, partition = entry
        return prefix(kind, project) + partition.to_bytes(2)
    return _ANYTHING + entry.to_bytes(2)
