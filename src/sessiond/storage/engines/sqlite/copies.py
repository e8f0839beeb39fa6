"""Copies of the database: one taken while a server runs, and one put in its place while none does."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import Replaced
from sessiond.storage.engines.sqlite.database import DatabaseFile, opening, parse_url
from sessiond.storage.engines.sqlite.lock import ServerLock
from sessiond.storage.engines.sqlite.migrations import APPLICATION_ID

_BUSY_SECONDS = 5.0
_BESIDE = ("", "-wal", "-shm")


def copy_store(url: str, target: Path) -> None:
    """Write the database at *url*, as it is at one instant, to the new file *target*; nobody waits for it.

    Raises `Misconfigured` when *target* exists or cannot be written; then nothing is left behind.
    """
    with opening(target):
        _make_private(target)
        try:
            source = DatabaseFile(parse_url(url), busy_seconds=_BUSY_SECONDS).connect(writing=False)
            with contextlib.closing(source), contextlib.closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, whole by itself
            _sync(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def replace_store(url: str, write: Callable[[Path], None], *, aside: str) -> Replaced:
    """Put what *write* makes of a new file in the place of the database at *url*; what was there goes *aside*.

    Raises `Misconfigured`, and changes nothing, when that is no sound database of ours or a server is running.
    """
    path = DatabaseFile(parse_url(url), busy_seconds=_BUSY_SECONDS).path
    lock = ServerLock(str(path))
    lock.acquire()
    copy = path.with_name(f".{path.name}-{aside}")
    try:
        write(copy)
        _check(copy)
        kept = _set_aside(path, path.with_name(aside))
        copy.replace(path)
        _sync(path.parent)
    finally:
        copy.unlink(missing_ok=True)
        lock.release()
    return Replaced(database=path, kept=kept)


def _set_aside(path: Path, directory: Path) -> Path | None:
    present = [Path(f"{path}{suffix}") for suffix in _BESIDE if Path(f"{path}{suffix}").exists()]
    if not present:
        return None
    directory.mkdir(mode=0o700)
    # The log before the database: a crash in between leaves no database that lacks writes it had.
    for file in reversed(present):
        file.rename(directory / file.name)
    return directory


def _check(copy: Path) -> None:
    with opening(copy), contextlib.closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as database:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if application != APPLICATION_ID or answer != "ok":
        raise Misconfigured("this is no sound copy of a database of sessiond; nothing was changed")


def _make_private(target: Path) -> None:
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        raise Misconfigured(f"{target} exists; name a file that does not") from None
    except OSError as error:
        raise Misconfigured(f"{target} cannot be written: {error.strerror}") from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
