"""The PostgreSQL store: reads and writes in batches, one statement each; lists by themselves.

With a bounded memory, what was read is kept until the feed tells that it changed, for `peek_session` alone.
"""

# ruff: noqa: D102  what each method does is said by the port, sessiond.services.ports.Store

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

import asyncpg

from sessiond.domain.events import Event
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Record
from sessiond.domain.sessions import Session, Standing
from sessiond.services.measures import StoreMeasures
from sessiond.services.movable import Number, Stretch
from sessiond.services.ports import Change, Place, Revocation, Selection, Touch
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Batcher, Outcome
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.engine import check_shape, unavailable
from sessiond.storage.engines.postgresql.connections import Connections
from sessiond.storage.engines.postgresql.failures import is_of_one
from sessiond.storage.engines.postgresql.feed import Feed
from sessiond.storage.engines.postgresql.horizon import Horizon
from sessiond.storage.engines.postgresql.listing import Listing
from sessiond.storage.engines.postgresql.moving import Passage
from sessiond.storage.engines.postgresql.operations import (
    Apply,
    Fetch,
    Leaf,
    Operation,
    Revoke,
    Seek,
    TouchAll,
    changes,
    conflict,
    outcomes_of_changes,
    outcomes_of_revocations,
    revocations,
    touches,
)
from sessiond.storage.engines.postgresql.reads import Reads
from sessiond.storage.engines.postgresql.rows import told_row
from sessiond.storage.engines.postgresql.url import Address
from sessiond.storage.positions import Positions

_ONE_SESSION_EACH = "sessions_pkey"
LONGEST_PAGE = 101
"""Sessions that are read in a batch with others; for longer ones, and where most have ended, nobody else waits."""

TOUCHED_AT_ONCE = 256
PURGED_AT_ONCE = 200

AnyOperation = TypeVar("AnyOperation", bound=Operation)
Run = Callable[[Sequence[AnyOperation]], Awaitable[Sequence[Outcome]]]


class PostgresqlStore:
    """Records in one schema of a PostgreSQL database, which any number of nodes share. *memory* None: always strict."""

    reads_wait = True

    def __init__(self, address: Address, memory: BoundedMemory | None = None) -> None:
        self._schema = schema = f'"{address.namespace}"'
        self._connections = Connections(address, welcome=self._welcome)
        self._memory = memory
        self._feed = Feed(address.namespace, memory, self._connections.apart) if memory is not None else None
        self._lost: str | None = None
        self._highest = 0
        self._working: set[asyncio.Task[None]] = set()
        self._listing = Listing(self._connections, schema)
        self._horizon = Horizon(self._connections, schema)
        self._passage = Passage(self._connections, schema)
        reads = Reads(self._connections, schema)
        seek = reads.standings if memory is None else functools.partial(_remembered, memory, reads.standings)
        self._reading, self._writing = BatchCounts(), BatchCounts()
        self._seeks: Batcher[Seek] = Batcher(self._in_batches(seek), self._reading)
        self._fetches: Batcher[Fetch] = Batcher(self._in_batches(reads.records), self._reading)
        self._leaves: Batcher[Leaf] = Batcher(self._in_batches(self._listing.pages), self._reading)
        self._changes: Batcher[Apply] = Batcher(self._in_batches(self._apply), self._writing)
        self._revokes: Batcher[Revoke] = Batcher(self._in_batches(self._revoke), self._writing)
        self._touches: Batcher[TouchAll] = Batcher(self._in_batches(self._touch), self._writing)
        self._apply_sql = f"SELECT {schema}.write_changes($1, $2, $3, $4, $5, $6, $7, $8)"
        self._revoke_sql = f"SELECT * FROM {schema}.revoke_sessions($1, $2, $3)"  # noqa: S608  a checked name
        self._touch_sql = f"SELECT {schema}.touch_sessions($1, $2)"

    async def get(self, key: Key) -> Record | None:
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        self.check()
        return cast("Sequence[Record | None]", await self._fetches.submit(Fetch(keys)) if keys else [])

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        self.check()
        return cast("Standing | None", await self._seeks.submit(Seek(project, session)))

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
        partition: Partition | None = None,  # noqa: ARG002  sessions of all partitions lie together
    ) -> Sequence[Session]:
        self.check()
        if limit is not None and limit <= LONGEST_PAGE:
            leaf = Leaf(project, subject, live_at=live_at, before=before, limit=limit)
            page = cast("Sequence[Session] | None", await self._leaves.submit(leaf))
            if page is not None:
                return page
        return await self._listing.list_by_subject(
            project, subject, live_at=live_at, limit=limit, before=before
        )

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
        await self._changes.submit(Apply(change, check_shape(change)))

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        self.check()
        if not revocations:
            return []
        return cast("Sequence[Session | None]", await self._revokes.submit(Revoke(revocations)))

    async def touch(self, touches: Sequence[Touch]) -> None:
        self.check()
        # In portions: each locks the partitions that it touches.
        for start in range(0, len(touches), TOUCHED_AT_ONCE):
            await self._touches.submit(TouchAll(touches[start : start + TOUCHED_AT_ONCE]))

    async def events(
        self,
        *,
        after: int,
        limit: int,
        project: ProjectId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[tuple[int, Event]]:
        self.check()
        return await self._listing.events(after=after, limit=limit, project=project, partition=partition)

    async def follow(
        self,
        mark: bytes,
        *,
        limit: int,
        everywhere: bool = True,  # noqa: ARG002  that costs no more
    ) -> tuple[Sequence[tuple[int, Event]], bytes]:
        self.check()
        positions, settled = Positions(mark), await self._horizon.settled()
        told = await self._listing.follow(positions, limit)
        if not told:
            return told, mark
        self._horizon.saw(told)
        # What was moved here may have one sequence in several partitions: of the last one there may be more.
        return told, positions.after(told, min(settled, told[-1][0] - 1))

    async def newest_event(self) -> int:
        self.check()
        newest = await self._listing.newest_event()
        self._highest = max(self._highest, newest)
        return newest

    async def rewrite_events(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        self.check()
        rows = [told_row(sequence, event) for sequence, event in rewritten]
        if rows:
            sql = f"SELECT {self._schema}.rewrite_events($1)"
            await self._connections.fetch_alone(sql, rows)

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
        return await self._in_portions("purge($1, $2, $3)", (ended_before, due_before), limit)

    async def purge_events(self, *, before: Instant, limit: int) -> int:
        self.check()
        return await self._in_portions("purge_events($1, $2)", (before,), limit)

    def check(self) -> None:
        if self._lost is not None:
            raise unavailable(self._lost)

    def durability(self) -> str | None:
        return None

    def staleness(self) -> Staleness | None:
        return None if self._memory is None else self._memory.staleness()

    def measures(self) -> StoreMeasures:
        return StoreMeasures(
            writes=self._writing.measures(),
            reads=self._reading.measures(),
            sessions_known=None if self._memory is None else self._memory.sessions_known,
        )

    async def close(self) -> None:
        if self._lost is None:
            self._lost = "it was closed"
        if self._feed is not None:
            await self._feed.close()
        reading, writing = (
            (self._seeks, self._fetches, self._leaves),
            (self._changes, self._revokes, self._touches),
        )
        for batcher in (*reading, *writing):
            await batcher.close()
        await self._connections.close()

    def _in_batches(
        self, run: Run[AnyOperation]
    ) -> Callable[[Sequence[AnyOperation], Callable[[Sequence[Outcome]], None]], None]:
        """Return what a batcher calls: *run* in a task of its own, whatever it raises being each one's outcome."""
        loop = asyncio.get_running_loop()

        async def work(operations: Sequence[AnyOperation], done: Callable[[Sequence[Outcome]], None]) -> None:
            outcomes = await _settled(run, operations)
            if self._memory is not None:
                # Before any caller hears of it; also for those that failed, as they may have been committed.
                self._memory.drop_keys(key for operation in operations for key in operation.writes)
            done(outcomes)

        def start(operations: Sequence[AnyOperation], done: Callable[[Sequence[Outcome]], None]) -> None:
            task = loop.create_task(work(operations, done))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

        return start

    async def _apply(self, operations: Sequence[Apply]) -> Sequence[Outcome]:
        try:
            rows = await self._connections.fetch(self._apply_sql, *changes(operations), repeatable=False)
        except asyncpg.UniqueViolationError as error:
            # A session that was to be new is there. Of several operations each is run by itself, to tell whose it is.
            if len(operations) > 1 or error.constraint_name != _ONE_SESSION_EACH:
                raise
            return [conflict()]
        return outcomes_of_changes(operations, rows)

    async def _revoke(self, operations: Sequence[Revoke]) -> Sequence[Outcome]:
        # Repeatable: the first revocation wins, also over its own repetition, and only it is told.
        rows = await self._connections.fetch(self._revoke_sql, *revocations(operations), repeatable=True)
        return outcomes_of_revocations(operations, rows)

    async def _touch(self, operations: Sequence[TouchAll]) -> Sequence[Outcome]:
        await self._connections.fetch(self._touch_sql, *touches(operations), repeatable=True)
        return [None] * len(operations)

    async def _in_portions(self, call: str, values: Sequence[object], limit: int) -> int:
        """Remove in small transactions, so that nobody waits long for the partitions that they hold."""
        sql = f"SELECT {self._schema}.{call}"
        gone = 0
        while gone < limit:
            portion = min(PURGED_AT_ONCE, limit - gone)
            went = int((await self._connections.fetch_alone(sql, *values, portion))[0][0])
            gone += went
            if went < portion:
                break
        return gone

    async def _welcome(self, connection: asyncpg.Connection) -> None:
        """Look at a new connection: a database that is behind what this node saw is not the one that it opened."""
        seen = self._highest  # before it answers: what others see meanwhile may be newer than its answer
        newest = await connection.fetchval(f"SELECT {self._schema}.newest_event()")
        if newest < seen:
            self._lost = "the database lacks what this server saw (a restored backup?); restart the server"
            raise unavailable(self._lost)
        self._highest = max(self._highest, newest)


async def _remembered(memory: BoundedMemory, run: Run[Seek], questions: Sequence[Seek]) -> Sequence[Outcome]:
    """Return what *run* finds, kept in *memory*."""
    with memory.reading() as reading:
        found = await run(questions)
        for standing in found:
            if isinstance(standing, Standing):
                memory.keep(reading, standing)
    return found


async def _settled(run: Run[AnyOperation], operations: Sequence[AnyOperation]) -> Sequence[Outcome]:
    """Return an outcome for each; where one cannot be stored, or lies in a damaged page, each is run by itself."""
    try:
        return await run(operations)
    except Exception as error:  # noqa: BLE001  whatever it is, each waiter must hear of it
        if len(operations) == 1 or not is_of_one(error):
            return [error] * len(operations)
    return [(await _settled(run, [operation]))[0] for operation in operations]
