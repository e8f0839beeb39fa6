"""The SQLite store: reads on the loop, long reads on a thread, writes in batches on another."""

# ruff: noqa: D102  what each method does is said by the port, sessiond.services.ports.Store

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.events import Event
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.records import Key, Record
from sessiond.domain.sessions import Session, Standing, session_key
from sessiond.services.measures import StoreMeasures
from sessiond.services.movable import Number, Stretch
from sessiond.services.ports import Change, Place, Revocation, Selection, Touch
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Batcher, Outcome
from sessiond.storage.engine import check_shape, unavailable
from sessiond.storage.engines.sqlite.database import DatabaseFile
from sessiond.storage.engines.sqlite.failures import answering, refused
from sessiond.storage.engines.sqlite.lock import ServerLock
from sessiond.storage.engines.sqlite.moving import AdoptEvents, DropEvents, Fence
from sessiond.storage.engines.sqlite.operations import (
    Apply,
    ForgetChanges,
    Operation,
    Purge,
    PurgeEvents,
    Revoke,
    RewriteEvents,
    TouchAll,
)
from sessiond.storage.engines.sqlite.reads import OfSubject, Reads
from sessiond.storage.engines.sqlite.trust import TrustedMemory
from sessiond.storage.engines.sqlite.writer import Writer

PURGED_PER_TRANSACTION = 64

T = TypeVar("T")


class Connections:
    """The three connections of a store: writing, reading on the loop, reading at length."""

    def __init__(self, writing: sqlite3.Connection, reading: Reads, reading_long: Reads) -> None:
        self.writing = writing
        self.reading = reading
        self.reading_long = reading_long


class SqliteStore:
    """Records in one SQLite file. *memory* is None for a command, and where the cache is off."""

    reads_wait = False

    def __init__(
        self, file: DatabaseFile, connections: Connections, memory: TrustedMemory | None, lock: ServerLock
    ) -> None:
        self._file = file
        self._reads = connections.reading
        self._long_reads = connections.reading_long
        self._memory = memory
        self._lock = lock
        self._lost: str | None = None
        self._newest_seen = 0
        self._closing: asyncio.Future[None] | None = None
        self._being_written: frozenset[Key] = frozenset()
        self._in_flight: Sequence[Operation] = ()
        self._doubtful: frozenset[Key] = frozenset()
        self._writer = Writer(connections.writing, file.check, bytes if memory is None else memory.header)
        self._batches = BatchCounts()
        self._batcher: Batcher[Operation] = Batcher(self._run, self._batches)
        self._long = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sessiond-sqlite-reader")

    async def get(self, key: Key) -> Record | None:
        memory = self._memory
        if memory is not None and self._lost is None and not memory.has_moved():
            # Whatever one record says is of one instant, also while a batch that writes it is under way.
            (record,) = memory.records((key,))
            if record is not None and key not in self._being_written:
                return record
        return (await self.get_many([key]))[0]

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        if self._lost is not None:
            raise unavailable(self._lost)
        try:
            return self._reads.get_many(keys) if self._memory is None else self._get_many(self._memory, keys)
        except sqlite3.Error as error:
            raise refused(error) from error

    def _get_many(self, memory: TrustedMemory, keys: Sequence[Key]) -> Sequence[Record | None]:
        """Read what memory does not know; if anybody commits meanwhile, read all, so that it is of one instant."""
        if memory.has_moved():
            self._catch_up(memory)
        # Of a batch that may have been committed and is not dropped yet, memory and file would be of two instants.
        found = memory.records(keys)
        if self._being_written.isdisjoint(keys):
            if None not in found:
                return found
        else:
            found = [
                None if key in self._being_written else each for key, each in zip(keys, found, strict=True)
            ]
        unknown = [n for n, record in enumerate(found) if record is None]
        read = self._reads.get_many([keys[n] for n in unknown])
        if memory.has_moved():
            self._catch_up(memory)
            found = read = self._reads.get_many(keys)
        else:
            for n, record in zip(unknown, read, strict=True):
                found[n] = record
        for record in read:
            if record is not None:
                memory.keep_record(record)
        return found

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        self._ready()
        memory = self._memory
        if memory is not None and memory.get(project, session) is not None:
            # Worth asking what others changed: that costs less than a read.
            standing = self.peek_session(project, session)
            if standing is not None:
                return standing
        with answering:
            standing = self._reads.standing(project, session)
        if standing is not None and memory is not None:
            memory.keep(standing)
        return standing

    def peek_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        if self._lost is not None:
            raise unavailable(self._lost)
        memory = self._memory
        if memory is None:
            return None
        if memory.has_moved():
            try:
                self._catch_up(memory)
            except sqlite3.Error as error:
                raise refused(error) from error
        if self._doubtful and session_key(project, session) in self._doubtful:
            return None
        return memory.get(project, session)

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
        self._ready()
        wanted = OfSubject(project, subject, live_at, limit, before)
        with answering:
            memory = self._memory
            return self._reads.list_by_subject(wanted) if memory is None else self._listed(memory, wanted)

    def _listed(self, memory: TrustedMemory, wanted: OfSubject) -> Sequence[Session]:
        """Return them from memory if it knows all that there are; else read all, so that they are of one instant."""
        if memory.has_moved():
            self._catch_up(memory)
        # As in `_get_many`: a batch may have been committed and its sessions not be dropped yet.
        writing = {SessionId(key.id) for key in self._being_written}
        # An index tells which there are. Those that have ended are rarely known: then the rows tell which live.
        for live_at in dict.fromkeys((None, wanted.live_at)):
            with contextlib.closing(self._reads.ids_by_subject(wanted, live_at=live_at)) as ids:
                known = memory.all_seen(ids, live_at=wanted.live_at, limit=wanted.limit, doubtful=writing)
            if known is not None and not memory.has_moved():
                return known
        read = self._reads.list_by_subject(wanted)
        memory.keep_sessions(read)
        return read

    async def scan(
        self, selection: Selection, *, limit: int, offset: int = 0, after: Place | None = None
    ) -> Sequence[Record]:
        return await self._at_length(lambda reads: reads.scan(selection, limit, offset, after))

    async def count(self, selection: Selection) -> int:
        return await self._at_length(lambda reads: reads.count(selection))

    async def apply(self, change: Change) -> None:
        if self._lost is not None:
            raise unavailable(self._lost)
        await self._batcher.submit(Apply(change, check_shape(change)))

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        self._ready()
        if not revocations:
            return []
        memory = self._memory
        known = [None if memory is None else memory.seen(each.session) for each in revocations]
        return cast("list[Session | None]", await self._write(Revoke(revocations, known)))

    async def touch(self, touches: Sequence[Touch]) -> None:
        self._ready()
        if touches:
            await self._write(TouchAll(touches))

    async def events(
        self,
        *,
        after: int,
        limit: int,
        project: ProjectId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[tuple[int, Event]]:
        return await self._at_length(lambda reads: reads.events(after, limit, project, partition))

    async def follow(
        self,
        mark: bytes,
        *,
        limit: int,
        everywhere: bool = True,  # noqa: ARG002  that costs no more
    ) -> tuple[Sequence[tuple[int, Event]], bytes]:
        return await self._at_length(lambda reads: reads.follow(mark, limit))

    async def rewrite_events(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        self._ready()
        if rewritten:
            await self._write(RewriteEvents(rewritten))

    async def newest_event(self) -> int:
        self._ready()
        with answering:
            return self._reads.newest_event()

    async def walk(self, place: str, *, limit: int) -> Stretch:
        return await self._at_length(lambda reads: reads.walk(place, limit))

    async def find_events(self, numbers: Sequence[Number]) -> Sequence[Event | None]:
        return await self._at_length(lambda reads: reads.find_events(numbers))

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        self._ready()
        await self._write(AdoptEvents(told, newest))

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        self._ready()
        await self._write(DropEvents(numbers))

    async def fence(self, *, up: bool) -> None:
        self._ready()
        await self._write(Fence(up=up))

    async def purge(self, *, ended_before: Instant, due_before: Instant, limit: int) -> int:
        self._ready()
        if self._memory is not None:
            await self._write(ForgetChanges(self._memory.caught_up_to))
        return await self._in_portions(limit, lambda portion: Purge(ended_before, due_before, portion))

    async def purge_events(self, *, before: Instant, limit: int) -> int:
        self._ready()
        return await self._in_portions(limit, lambda portion: PurgeEvents(before, portion))

    def check(self) -> None:
        self._ready()
        try:
            self._file.check()
            if self._lock.is_lost() or (self._memory is not None and not self._memory.is_current()):
                raise unavailable("a file of the open database was replaced or removed; restart the server")
            self._check_newest()
        except Unavailable as refusal:
            self._lose(refusal)
            raise

    def _check_newest(self) -> None:
        """Raise `Unavailable` if events are gone that were there: an older copy was written over the open file.

        One that lacks no more than is written between two looks is not noticed.
        """
        with contextlib.suppress(sqlite3.Error):
            newest = self._reads.newest_event()
            if newest < self._newest_seen:
                raise unavailable(
                    "the database lacks what this server saw (a restored backup?); restart the server"
                )
            self._newest_seen = newest

    def durability(self) -> str | None:
        return None

    def staleness(self) -> Staleness | None:
        return None

    def measures(self) -> StoreMeasures:
        known = None if self._memory is None else self._memory.sessions_known
        return StoreMeasures(writes=self._batches.measures(), sessions_known=known)

    async def close(self) -> None:
        if self._closing is None:
            self._lost = "it was closed"
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._batcher.close()
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        self._long.shutdown()
        self._long_reads.close()
        self._reads.close()
        self._writer.stop()
        if self._memory is not None:
            self._memory.close()
        self._lock.release()

    def _catch_up(self, memory: TrustedMemory) -> None:
        """Have memory drop what others changed, and trust nothing that a batch may have which it does not know of yet.

        Who sees that batch in the file, a command or a read, may already rely on it: on finding a session ended.
        """
        memory.catch_up()
        before = self._writer.header_before
        if before is not None and before != memory.caught_up_at:
            self._doubtful = self._being_written
            memory.doubt(self._in_flight)

    def _ready(self) -> None:
        if self._lost is not None:
            raise unavailable(self._lost)

    def _lose(self, refusal: Unavailable) -> None:
        """Answer nothing from now on: what lies at the path is not what is open."""
        self._lost = refusal.detail.removeprefix("The store cannot answer now: ").removesuffix(".")

    def _write(self, operation: Operation) -> asyncio.Future[object]:
        return self._batcher.submit(operation)

    def _run(self, operations: Sequence[Operation], done: Callable[[Sequence[Outcome]], None]) -> None:
        memory = self._memory
        caught_up_to = 0 if memory is None else memory.caught_up_to

        def finished(outcomes: Sequence[Outcome]) -> None:
            self._being_written = self._doubtful = frozenset()
            self._in_flight = ()
            if memory is not None:
                memory.take_over(operations, outcomes, caught_up_to=caught_up_to)
            if Unavailable in map(type, outcomes):
                with contextlib.suppress(Unavailable):
                    self.check()
            done(outcomes)

        if memory is not None:
            self._being_written = frozenset[Key]().union(*[operation.keys for operation in operations])
            self._in_flight = operations
        self._writer.post(operations, finished)

    async def _in_portions(self, limit: int, operation: Callable[[int], Operation]) -> int:
        """Run a removal in small transactions, each of which waits its turn among the requests' own."""
        gone = 0
        while gone < limit:
            portion = min(PURGED_PER_TRANSACTION, limit - gone)
            went = cast("int", await self._write(operation(portion)))
            gone += went
            if went < portion:
                break
        return gone

    async def _at_length(self, read: Callable[[Reads], T]) -> T:
        self._ready()

        def run() -> T:
            with answering:
                return read(self._long_reads)

        return await asyncio.get_running_loop().run_in_executor(self._long, run)
