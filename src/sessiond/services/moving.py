"""Moving everything from one store to another, while nodes serve the source until the switch.

One pass makes the target what the source is: what differs or is missing is put, what is not in the source is removed.
It may be repeated at any time, so that a move that was interrupted simply goes on. The order of a switch is what loses
nothing: the source is marked (from then on no verify there passes), fenced (from then on no write there happens),
passed once more, compared, and only then the target is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import msgspec

from sessiond.domain.checksums import Checksums, Difference
from sessiond.domain.errors import Conflict, Misconfigured, StateConflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition
from sessiond.domain.moving import Arriving, Departed
from sessiond.domain.projects import CONTROL_PARTITION, Deployment
from sessiond.domain.records import Kind, Record
from sessiond.services.movable import BEGINNING, MovableStore, Number, Stretch
from sessiond.services.ports import Change, Clock, Selection
from sessiond.services.recovery import find_deployment

AT_ONCE = 500
"""How many records and events are compared and written together."""

_REMEMBERED_EVERY = 8
_TRIES = 10

ANOTHER_MOVE = StateConflict(
    "move_contended", "Another `sessiond migrate` writes to the target: let one of them end."
)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a move has come: what is being done, and how many of how many records and events were looked at."""

    doing: str
    done: int
    total: int


class Mover:
    """Moves what is in *source* to *target*. *tell* hears of the progress."""

    def __init__(
        self, source: MovableStore, target: MovableStore, clock: Clock, tell: Callable[[Progress], None]
    ) -> None:
        self._source = source
        self._target = target
        self._clock = clock
        self._tell = tell
        self._total = 0

    async def copy(self) -> int:
        """Make the target what the source is, as far as that stands still; return how much the last pass changed.

        Raises `Misconfigured` where there is nothing to move, `StateConflict` where the target holds anything but an
        unfinished move of the same installation (`target_in_use`), or the source was left (`source_departed`).
        """
        here, there = await self._require_open()
        if here.departed is not None:
            raise StateConflict(
                "source_departed", f"The source is left for {here.departed.to}: only --switch or --stay."
            )
        place = await self._begin(here, there)
        await self._count()
        await self._pass("copying", place, remember=True)
        return await self._pass("catching up")

    async def switch(self, to: str) -> list[Difference]:
        """Leave the source for the target, which is named *to*; return where they differ, which leaves it unfinished.

        May be repeated until it returns nothing; until then nobody serves either. Raises as `copy` does.
        """
        here, there = await self._require_open(finished=True)
        if there is not None and there.arriving is None:
            return []
        if here.departed is None:
            await self.copy()
            await self._depart(to)
        elif there is None:
            await self._begin(here, there)
        await self._source.fence(up=True)
        await self._count()
        opening = await self._arriving()
        await self._pass("catching up while nobody writes")
        differences = await self.compare()
        if not differences:
            await self._open(opening)
        return differences

    async def stay(self) -> None:
        """Let the source be served again; what is in the target stays for another attempt.

        Raises `StateConflict` (`target_in_use`) where the target was opened: what was written there would be lost.
        """
        here, there = await self._require_open()
        if there is not None:
            await self._remember(BEGINNING)  # a switch that is under way cannot open it any more
        await self._source.fence(up=False)
        if here.departed is not None:
            await self._mark(None)

    async def compare(self) -> list[Difference]:
        """Return where the stores differ in counts or checksums, partition by partition and kind by kind."""
        source, target = await asyncio.gather(self._sum(self._source), self._sum(self._target))
        return source.differences(target)

    async def _require_open(self, *, finished: bool = False) -> tuple[Deployment, Deployment | None]:
        """Return both control records, if the target is empty or an unfinished (or *finished*) move of the source."""
        here, there = await find_deployment(self._source), await find_deployment(self._target)
        if here is None:
            raise Misconfigured("there is no installation in the database to move from")
        if here.arriving is not None:
            raise Misconfigured("the database to move from is itself being filled by `sessiond migrate`")
        ours = there is not None and there.install_id == here.install_id
        if (
            there is not None
            and ours
            and (there.arriving is not None or (finished and here.departed is not None))
        ):
            return here, there
        if there is not None or not await self._is_empty():
            raise StateConflict(
                "target_in_use",
                "The target is not empty, and no unfinished move from this source: give an empty one.",
            )
        return here, None

    async def _is_empty(self) -> bool:
        if await self._target.newest_event():
            return False
        return not any([stretch.records or stretch.events async for stretch in _stretches(self._target)])

    async def _begin(self, here: Deployment, there: Deployment | None) -> str | None:
        """Mark the target as being filled; return where the first pass goes on."""
        if there is not None and there.arriving is not None:
            return there.arriving.place
        marked = msgspec.structs.replace(
            here, arriving=Arriving(at=self._clock.now()), departed=None, version=1
        )
        await self._put(None, marked)
        return BEGINNING

    async def _pass(self, doing: str, place: str | None = BEGINNING, *, remember: bool = False) -> int:
        """Make the target what the source is, from *place* of the source on; return how much was changed."""
        changed = seen = pieces = 0
        async for stretch in _stretches(self._source, place):
            changed += await self._bring(stretch)
            seen += len(stretch.records) + len(stretch.events)
            pieces += 1
            self._tell(Progress(doing=doing, done=seen, total=max(self._total, seen)))
            if remember and (pieces % _REMEMBERED_EVERY == 0 or stretch.place is None):
                await self._remember(stretch.place)
        async for stretch in _stretches(self._target):
            changed += await self._clear(stretch)
        self._total = seen
        return changed

    async def _bring(self, stretch: Stretch) -> int:
        """Put into the target what it lacks of this, or has otherwise."""
        # By key: what changes meanwhile may be met twice, and counts as it was met last.
        met = {record.key: record for record in stretch.records if record.kind is not Kind.DEPLOYMENT}
        records = list(met.values())
        present = await self._target.get_many(list(met))
        together: dict[Partition, list[tuple[Record, int]]] = {}
        for record, there in zip(records, present, strict=True):
            if record != there:
                known = there.version if there is not None else 0
                together.setdefault(record.key.partition, []).append((record, known))
        await self._apply(
            Change(
                partition=partition,
                expects={record.key: known for record, known in several},
                puts=[record for record, _ in several],
            )
            for partition, several in together.items()
        )
        told = await self._target.find_events(_numbers(stretch))
        new = [each for each, there in zip(stretch.events, told, strict=True) if each[1] != there]
        if new:
            await self._target.adopt_events(new, newest=0)
        return sum(map(len, together.values())) + len(new)

    async def _clear(self, stretch: Stretch) -> int:
        """Remove from the target what the source does not have of this."""
        records = [record for record in stretch.records if record.kind is not Kind.DEPLOYMENT]
        present = await self._source.get_many([record.key for record in records])
        gone = [record for record, here in zip(records, present, strict=True) if here is None]
        await self._apply(
            Change(
                partition=record.key.partition,
                expects={record.key: record.version},
                deletes=[record.key],
            )
            for record in gone
        )
        numbers = _numbers(stretch)
        told = await self._source.find_events(numbers)
        forgotten = [number for number, here in zip(numbers, told, strict=True) if here is None]
        if forgotten:
            await self._target.drop_events(forgotten)
        return len(gone) + len(forgotten)

    async def _apply(self, changes: Iterable[Change]) -> None:
        try:
            await asyncio.gather(*(self._target.apply(change) for change in changes))
        except Conflict:
            raise ANOTHER_MOVE from None

    async def _sum(self, store: MovableStore) -> Checksums:
        sums = Checksums()
        async for stretch in _stretches(store):
            sums.add(stretch.records, stretch.events)
            if store is self._source:
                self._tell(Progress(doing="comparing", done=sums.total, total=max(self._total, sums.total)))
        return sums

    async def _count(self) -> None:
        counts = [await self._source.count(Selection(kind=kind)) for kind in Kind]
        self._total = sum(counts)

    async def _depart(self, to: str) -> None:
        await self._mark(Departed(to=to, at=self._clock.now()))

    async def _mark(self, departed: Departed | None) -> None:
        for _ in range(_TRIES):
            here = await find_deployment(self._source)
            if here is None:
                break
            marked = msgspec.structs.replace(here, departed=departed, version=here.version + 1)
            try:
                await self._source.apply(Change.replacing(here, marked))
            except Conflict:
                continue
            return
        raise StateConflict("source_contended", "The source's control record is being changed: try again.")

    async def _arriving(self) -> Deployment:
        there = await find_deployment(self._target)
        if there is None or there.arriving is None:
            raise ANOTHER_MOVE
        return there

    async def _remember(self, place: str | None) -> None:
        """Write into the target how far the first pass has come."""
        there = await self._arriving()
        arriving = Arriving(at=self._clock.now(), place=place)
        await self._put(there, msgspec.structs.replace(there, arriving=arriving, version=there.version + 1))

    async def _open(self, opening: Deployment) -> None:
        """Make the target the one that is served. The event makes it newer than the source, for every witness."""
        here = await find_deployment(self._source)
        if here is None or here.departed is None:
            raise ANOTHER_MOVE
        await self._target.adopt_events([], newest=await self._source.newest_event())
        event = Event(
            type=EventType.DEPLOYMENT_MOVED,
            at=self._clock.now(),
            partition=CONTROL_PARTITION,
            project=DEFAULT_PROJECT,
            by="cli",
            data={"to": here.departed.to},
        )
        await self._put(opening, msgspec.structs.replace(here, departed=None), event)

    async def _put(self, former: Deployment | None, deployment: Deployment, *events: Event) -> None:
        """Replace the target's control record."""
        expects = {deployment.key: 0 if former is None else former.version}
        await self._apply(
            [Change(partition=CONTROL_PARTITION, expects=expects, puts=[deployment], events=events)]
        )


async def _stretches(store: MovableStore, place: str | None = BEGINNING) -> AsyncIterator[Stretch]:
    """Yield what *store* holds from *place* on, so much at once as is worth a round of reads and writes."""
    while place is not None:
        records: list[Record] = []
        events: list[tuple[int, Event]] = []
        while place is not None and len(records) + len(events) < AT_ONCE:
            stretch = await store.walk(place, limit=AT_ONCE)
            records += stretch.records
            events += stretch.events
            place = stretch.place
        yield Stretch(records=records, events=events, place=place)


def _numbers(stretch: Stretch) -> list[Number]:
    return [(event.partition, sequence) for sequence, event in stretch.events]
