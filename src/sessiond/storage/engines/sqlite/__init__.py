"""The SQLite engine: one file, one writer thread, reads on the event loop. `sqlite:///relative`, `sqlite:////absolute`."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from sessiond.domain.freshness import STRICT
from sessiond.services.movable import MovableStore
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import migrations
from sessiond.storage.engines.sqlite.copies import copy_store, replace_store
from sessiond.storage.engines.sqlite.database import DatabaseFile, opening, parse_url
from sessiond.storage.engines.sqlite.engine import Connections, SqliteStore
from sessiond.storage.engines.sqlite.lock import ServerLock
from sessiond.storage.engines.sqlite.reads import Reads
from sessiond.storage.engines.sqlite.trust import TrustedMemory
from sessiond.storage.engines.sqlite.wal_index import WalIndex

SHARED = False

__all__ = ["SHARED", "copy_store", "open_store", "replace_store"]

BUSY_SECONDS = 5.0
BUSY_SECONDS_ON_THE_LOOP = 0.25


async def open_store(
    url: str,
    *,
    role: Role,
    cache_records: int = 100_000,
    max_staleness: timedelta = STRICT,  # noqa: ARG001  memory is as strict as a read
    busy_seconds: float = BUSY_SECONDS,
) -> MovableStore:
    """Open the database file that *url* names, and make it if there is none.

    A writer waits for another process's lock for at most *busy_seconds*. Raises `Misconfigured` when the URL is no
    path, the file is not ours, is newer than we are or is damaged, or when another server has it.
    """
    file = DatabaseFile(parse_url(url), busy_seconds=busy_seconds)
    lock = ServerLock(str(file.path))
    try:
        connections = await asyncio.to_thread(_connect, file, lock, role)
        memory = None
        if role is Role.SERVER and cache_records > 0:
            memory = TrustedMemory(connections.reading, WalIndex(file.path), cache_records)
        return SqliteStore(file, connections, memory, lock)
    except BaseException:
        lock.release()
        raise


def _connect(file: DatabaseFile, lock: ServerLock, role: Role) -> Connections:
    file.prepare()
    if role is Role.SERVER:
        lock.acquire()
    with opening(file.path), contextlib.ExitStack() as undo:
        writing = file.connect(writing=True)
        undo.callback(writing.close)
        migrations.migrate(writing, file.path, may_upgrade=lambda: role is Role.SERVER or _is_idle(file))
        if role is Role.SERVER:
            migrations.check_integrity(writing, file.path)
            writing.execute("DELETE FROM changes")
        else:
            migrations.record_changes(writing)
        reading = file.connect(writing=False, busy_seconds=BUSY_SECONDS_ON_THE_LOOP)
        undo.callback(reading.close)
        # SQLite unmaps the file at the first read after each commit, and its pages would be faulted in anew.
        reading.execute("PRAGMA mmap_size = 0")
        reading_long = file.connect(writing=False)
        file.remember()
        undo.pop_all()
    return Connections(writing, Reads(reading), Reads(reading_long))


def _is_idle(file: DatabaseFile) -> bool:
    """Tell whether no server runs on the database now."""
    lock = ServerLock(str(file.path))
    idle = lock.try_acquire()
    lock.release()
    return idle
