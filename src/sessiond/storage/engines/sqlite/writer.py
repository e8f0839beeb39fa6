"""The writer thread: the only place that writes. A batch is one transaction and one sync of the disk."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.storage.batching import Outcome
from sessiond.storage.engines.sqlite.failures import refused
from sessiond.storage.engines.sqlite.operations import Operation

_Done = Callable[[Sequence[Outcome]], None]


class Writer:
    """Runs batches on a thread of its own, in the order they were posted.

    *still_ours* is asked after each commit and before anyone is told; what it raises is every operation's outcome.
    *header* is what each commit by anybody moves.
    """

    def __init__(
        self, database: sqlite3.Connection, still_ours: Callable[[], None], header: Callable[[], bytes]
    ) -> None:
        self._database = database
        self._cursor = database.cursor()
        self._still_ours = still_ours
        self._header = header
        self.header_before: bytes | None = None
        """The header before any of what was posted last was committed, None while none of it can be."""
        self._loop = asyncio.get_running_loop()
        self._posted: queue.SimpleQueue[tuple[Sequence[Operation], _Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="sessiond-sqlite-writer", daemon=True)
        self._thread.start()

    def post(self, operations: Sequence[Operation], done: _Done) -> None:
        """Run *operations* in one transaction, then call *done* on the loop with an outcome for each.

        What was posted before must be done.
        """
        self.header_before = None
        self._posted.put((operations, done))

    def stop(self) -> None:
        """Finish what was posted and close the connection."""
        self._posted.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (posted := self._posted.get()) is not None:
            operations, done = posted
            try:
                outcomes = self._write(operations)
            except Exception as error:  # noqa: BLE001  the thread must live, and each waiter hear of it
                outcomes = [error] * len(operations)
            self._loop.call_soon_threadsafe(done, outcomes)
        self._database.close()

    def _write(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        """Run them in one transaction; where that fails, each by itself, until nobody can write at all."""
        outcomes: list[Outcome] = []
        portions = [operations]
        for portion in portions:
            try:
                self._roll_back()
                self._cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                # Nobody can write now: trying each by itself would only multiply the waiting.
                return outcomes + [refused(error)] * (len(operations) - len(outcomes))
            try:
                written = self._commit(portion)
            except Exception as error:  # noqa: BLE001  whatever it is belongs to one operation
                self._roll_back()
                if len(portion) > 1:
                    portions += [[operation] for operation in portion]
                else:
                    outcomes.append(_failure(error))
            else:
                outcomes += self._if_still_ours(written)
        return outcomes

    def _commit(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        outcomes = [self._run(operation) for operation in operations]
        if self.header_before is None:
            self.header_before = self._header()
        self._cursor.execute("COMMIT")
        return outcomes

    def _if_still_ours(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        try:
            self._still_ours()
        except Unavailable as refusal:
            return [refusal] * len(outcomes)
        return outcomes

    def _run(self, operation: Operation) -> Outcome:
        try:
            return operation.run(self._cursor)
        except Conflict as conflict:
            return conflict

    def _roll_back(self) -> None:
        if self._database.in_transaction:
            self._cursor.execute("ROLLBACK")


def _failure(error: Exception) -> Exception:
    # Of the constraints only a trigger's, the fence, is not about what is already there.
    if isinstance(error, sqlite3.IntegrityError) and error.sqlite_errorname != "SQLITE_CONSTRAINT_TRIGGER":
        return Conflict("the record is already there")
    return refused(error) if isinstance(error, sqlite3.Error) else error
