"""What SQLite's errors mean to a caller: the store cannot answer, in words, and a line in the log."""

from __future__ import annotations

import logging
import sqlite3
from types import TracebackType

from sessiond.domain.errors import Unavailable
from sessiond.storage.engine import MOVED_AWAY, unavailable

_LOG = logging.getLogger("sessiond.storage.sqlite")

_MEANINGS = {
    "SQLITE_BUSY": "another process has locked the database",
    "SQLITE_LOCKED": "another process has locked the database",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk fails",
    "SQLITE_CANTOPEN": "the database file cannot be opened",
    "SQLITE_READONLY": "the database may not be written",
    "SQLITE_CORRUPT": "the database is damaged; restore it from a backup",
    "SQLITE_NOTADB": "the database is damaged; restore it from a backup",
    "SQLITE_CONSTRAINT_TRIGGER": MOVED_AWAY,
}


def meaning(error: sqlite3.Error) -> str:
    """Return what *error* means, without any of the data it was about."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    for primary, words in _MEANINGS.items():
        if name.startswith(primary):
            return words
    return f"SQLite reports {name}"


def refused(error: sqlite3.Error) -> Unavailable:
    """Log *error* and return the refusal that callers get for it."""
    words = meaning(error)
    _LOG.error("the store cannot answer: %s (%s)", words, getattr(error, "sqlite_errorname", "?"))
    refusal = unavailable(words)
    refusal.__cause__ = error
    return refusal


class _Answering:
    """Turns SQLite's errors within into `Unavailable`. It has no state: one for all, and a read makes none anew."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise refused(error) from error


answering = _Answering()
