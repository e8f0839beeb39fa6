"""What the mover needs from a store besides `Store`. Each sentence is a contract test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from sessiond.domain.events import Event
from sessiond.domain.ids import Partition
from sessiond.domain.records import Record
from sessiond.services.ports import Store

Number = tuple[Partition, int]
"""Where an event stands: its partition, and its sequence there."""

BEGINNING = ""
"""The place at which a walk begins."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a walk: records, events with their sequences, and where to go on (None: that was all)."""

    records: Sequence[Record] = ()
    events: Sequence[tuple[int, Event]] = ()
    place: str | None


class MovableStore(Store, Protocol):
    """A store that can be copied whole, filled whole, and closed to writes."""

    async def walk(self, place: str, *, limit: int) -> Stretch:
        """Return about *limit* records and events that lie behind *place*, in an order of the engine's own.

        A walk from `BEGINNING` to the end meets every record of every kind and project, and every event, exactly once;
        what is written, changed or removed meanwhile may be met or not. A stretch may be empty before the end.
        """
        ...

    async def find_events(self, numbers: Sequence[Number]) -> Sequence[Event | None]:
        """Return the events at *numbers* in their order, None where there is none."""
        ...

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        """Put each event at the sequence that is given, in its own partition, over what is there.

        What a partition gives out later is above all that it was given; `newest_event` is not below those nor *newest*.
        """
        ...

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        """Remove the events at *numbers*, where there are any; `newest_event` does not fall."""
        ...

    async def fence(self, *, up: bool) -> None:
        """Refuse every write from now on, by any process and after every restart (`Unavailable`); or no more.

        When this has returned with *up*, every write has happened or never will. Reads go on. Doing it twice is as
        good as once.
        """
        ...
