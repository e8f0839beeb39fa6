"""What every engine offers to the rest, and what engines share: the role, the opening function, the one refusal."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import msgspec

from sessiond.domain.errors import Unavailable
from sessiond.domain.freshness import STRICT
from sessiond.domain.records import Key, Record
from sessiond.services.movable import MovableStore
from sessiond.services.ports import Change


class Role(enum.Enum):
    """Who opens the store."""

    SERVER = enum.auto()
    """Serves requests, may keep records in memory. An embedded engine admits one at a time."""
    TOOL = enum.auto()
    """A command beside a running server: short-lived, keeps nothing in memory."""


class EngineModule(Protocol):
    """A module or package below `sessiond.storage.engines`, named as the scheme of its URLs (`+` becomes `_`).

    `SHARED` tells whether several servers may serve one database at once.
    """

    SHARED: bool

    async def open_store(
        self, url: str, *, role: Role, cache_records: int = 100_000, max_staleness: timedelta = STRICT
    ) -> MovableStore:
        """Open the store at *url*, keeping at most *cache_records* sessions in memory.

        What `peek_session` answers is never older than *max_staleness*; an engine may always be stricter.

        Raises `Misconfigured`, in one sentence, when the URL or what lies there cannot be used.
        """
        ...


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """Where the database lies, and the directory in which the former one is kept (None: there was none)."""

    database: Path
    kept: Path | None


class CopyingEngine(Protocol):
    """What an engine offers whose database is a file of this machine."""

    def copy_store(self, url: str, target: Path) -> None:
        """Write the database at *url*, as it is at one instant, to the new file *target*."""
        ...

    def replace_store(self, url: str, write: Callable[[Path], None], *, aside: str) -> Replaced:
        """Put what *write* makes of a new file in the place of the database at *url*; what was there goes *aside*."""
        ...


MOVED_AWAY = "what lay here was moved to another database, on which this node must be started"
"""Why a store behind a fence refuses to write."""


def unavailable(why: str) -> Unavailable:
    """Return the refusal of an engine that cannot answer; *why* is for people and holds no data."""
    return Unavailable("store_unavailable", f"The store cannot answer now: {why}.")


_key_of: Callable[[Record], Key] = attrgetter("key")


def check_shape(change: Change) -> list[Key]:
    """Return the keys that *change* writes: of its puts, then of its deletes.

    Raises `ValueError` when it writes what it does not expect, or writes outside its partition.
    """
    written = [*map(_key_of, change.puts), *change.deletes]
    expects, partition = change.expects, change.partition
    for key in written:
        if key not in expects:
            raise ValueError(f"a {key.kind} is written without an expectation")
        if key.partition != partition:
            raise ValueError(
                f"a {key.kind} lies in partition {key.partition}, the change in {change.partition}"
            )
    return written
