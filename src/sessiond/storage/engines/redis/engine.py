"""The Redis store: everything is asked of the servers.

With a bounded memory, what was read is kept for `peek_session` alone, and for no longer than the bound.
"""

# ruff: noqa: D102  what each method does is said by the port, sessiond.services.ports.Store

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.events import Event
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing
from sessiond.services.measures import StoreMeasures
from sessiond.services.movable import Number, Stretch
from sessiond.services.ports import Change, Place, Revocation, Selection, Touch
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.engine import check_shape, unavailable
from sessiond.storage.engines.redis.calls import Caller
from sessiond.storage.engines.redis.directory import Directory
from sessiond.storage.engines.redis.feed import Feed
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.listing import Listing
from sessiond.storage.engines.redis.moving import Passage
from sessiond.storage.engines.redis.nodes import Nodes
from sessiond.storage.engines.redis.operations import Apply, Operation, Revoke, TouchOne
from sessiond.storage.engines.redis.outbox import Outbox
from sessiond.storage.engines.redis.purging import Purging
from sessiond.storage.engines.redis.reading import Reading
from sessiond.storage.engines.redis.writing import Writing
from sessiond.storage.positions import Positions


class RedisStore:
    """Records in a single Redis or a Redis Cluster. *memory* None: always strict."""

    reads_wait = True

    def __init__(self, nodes: Nodes, memory: BoundedMemory | None = None) -> None:
        layout = Layout(nodes.target.namespace)
        caller = Caller(nodes)
        directory = Directory(layout, caller)
        self._nodes = nodes
        self._memory = memory
        self._feed = Feed(layout, nodes, caller, memory) if memory is not None else None
        self._reading = Reading(layout, nodes, caller, memory)
        self._writing = Writing(layout, nodes, caller, directory, self._feed)
        self._listing = Listing(layout, directory, self._reading)
        self._outbox = Outbox(layout, caller, directory)
        self._purging = Purging(layout, caller, directory)
        self._passage = Passage(layout, caller, directory, self._reading)
        self._closing: asyncio.Future[None] | None = None

    async def get(self, key: Key) -> Record | None:
        self.check()
        return (await self._reading.records([key]))[0]

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        self.check()
        return await self._reading.records(keys)

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        self.check()
        return await self._reading.standing(project, session)

    def peek_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        self.check()
        return None if self._memory is None else self._memory.get(project, session)

    async def list_by_subject(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None = None,
        limit: int | None = None,
        before: SessionId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[Session]:
        self.check()
        selection = Selection(kind=Kind.SESSION, project=project, owner=subject, partition=partition)
        return await self._listing.list_by_subject(selection, live_at=live_at, limit=limit, before=before)

    async def scan(
        self, selection: Selection, *, limit: int, offset: int = 0, after: Place | None = None
    ) -> Sequence[Record]:
        self.check()
        return await self._listing.scan(selection, limit=limit, offset=offset, after=after)

    async def count(self, selection: Selection) -> int:
        self.check()
        return await self._listing.count(selection)

    async def apply(self, change: Change) -> None:
        self.check()
        await self._writing.write(Apply(change, check_shape(change)))

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        self.check()
        return cast("list[Session | None]", await self._write_all([Revoke(each) for each in revocations]))

    async def touch(self, touches: Sequence[Touch]) -> None:
        self.check()
        await self._write_all([TouchOne(touch) for touch in touches])

    async def events(
        self,
        *,
        after: int,
        limit: int,
        project: ProjectId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[tuple[int, Event]]:
        self.check()
        return await self._outbox.read(after=after, limit=limit, project=project, partition=partition)

    async def follow(
        self, mark: bytes, *, limit: int, everywhere: bool = True
    ) -> tuple[Sequence[tuple[int, Event]], bytes]:
        self.check()
        positions = Positions(mark)
        told = await self._outbox.follow(positions, limit, everywhere=everywhere)
        return told, positions.after(told) if told else mark

    async def rewrite_events(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        self.check()
        await self._outbox.rewrite(rewritten)

    async def newest_event(self) -> int:
        self.check()
        return await self._outbox.newest(self._writing)

    async def walk(self, place: str, *, limit: int) -> Stretch:
        self.check()
        return await self._passage.walk(place, limit)

    async def find_events(self, numbers: Sequence[Number]) -> Sequence[Event | None]:
        self.check()
        return await self._passage.find_events(numbers)

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        self.check()
        await self._passage.adopt_events(told, newest)

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        self.check()
        await self._passage.drop_events(numbers)

    async def fence(self, *, up: bool) -> None:
        self.check()
        await self._passage.fence(up=up)

    async def purge(self, *, ended_before: Instant, due_before: Instant, limit: int) -> int:
        self.check()
        return await self._purging.purge(ended_before=ended_before, due_before=due_before, limit=limit)

    async def purge_events(self, *, before: Instant, limit: int) -> int:
        self.check()
        return await self._outbox.purge(before=before, limit=limit)

    def check(self) -> None:
        if self._closing is not None:
            raise unavailable("it was closed")

    def durability(self) -> str | None:
        return self._nodes.durability()

    def staleness(self) -> Staleness | None:
        return None if self._memory is None else self._memory.staleness()

    def measures(self) -> StoreMeasures:
        return StoreMeasures(
            writes=self._writing.counts.measures(),
            reads=self._reading.counts.measures(),
            sessions_known=None if self._memory is None else self._memory.sessions_known,
        )

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._writing.close()
        if self._writing.told:
            with contextlib.suppress(Unavailable):  # a hint: whoever follows finds it later by itself
                await self._outbox.newest(self._writing)
        if self._feed is not None:
            await self._feed.close()
        await self._reading.close()
        await self._nodes.close()

    async def _write_all(self, operations: Sequence[Operation]) -> Sequence[object]:
        """Return what each came to, once all have; raise the first refusal among them."""
        writes = (self._writing.write(operation) for operation in operations)
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return outcomes
