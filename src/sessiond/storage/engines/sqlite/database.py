"""The database file: its name, its creation, its connections, and whether it is still the one that was opened."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.sqlite.failures import meaning

OLDEST_SQLITE = (3, 37, 0)  # STRICT tables
CHECKPOINT_PAGES = 1000
MAPPED_BYTES = 1 << 31
LARGEST_WAL_KEPT = 64 << 20

_SCHEME = "sqlite:///"


def parse_url(url: str) -> Path:
    """Return the path in `sqlite:///relative/path` or `sqlite:////absolute/path`, or raise `Misconfigured`."""
    if not url.startswith(_SCHEME) or url == _SCHEME or url.endswith("/"):
        raise Misconfigured("a SQLite URL is sqlite:///relative/path or sqlite:////absolute/path of a file")
    if "?" in url:
        raise Misconfigured(
            "a SQLite URL takes no parameters: a namespace of its own is a database file of its own"
        )
    return Path(url.removeprefix(_SCHEME)).absolute()


class DatabaseFile:
    """One SQLite file, made private (0600) before anything is in it.

    *path* is where it lies, whatever symbolic links it is *named* by: SQLite puts beside it what belongs to it.
    """

    def __init__(self, named: Path, *, busy_seconds: float) -> None:
        self.path = Path(os.path.realpath(named))  # Path.resolve raises where links lead in a circle
        self._named = named
        self._busy_seconds = busy_seconds
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """Make the file and its directory where they are missing, and close both to other users."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise Misconfigured(f"this Python's SQLite is {sqlite3.sqlite_version}; 3.37 or newer is needed")
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                # Only a file that was not there is opened here: closing a descriptor of one that SQLite has open
                # in this process would drop its locks.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            if not self.path.is_file():
                raise Misconfigured(f"{self.path} is not a file; name the database file itself")
            if self.path.stat().st_nlink > 1:
                # https://sqlite.org/howtocorrupt.html section 2.5: each of its names would have a log of its own.
                raise Misconfigured(f"{self.path} has a second name (a hard link); copy it instead")
            self.path.chmod(0o600)
        except OSError as error:
            raise Misconfigured(f"the database {self.path} cannot be made: {error.strerror}") from error

    def connect(self, *, writing: bool, busy_seconds: float | None = None) -> sqlite3.Connection:
        """Return a connection in autocommit mode, for one thread at a time.

        A reading one may not write, yet is opened so that it can help to recover the index of the write-ahead log.
        """
        _hasten_values()
        database = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=self._busy_seconds if busy_seconds is None else busy_seconds,
            cached_statements=256,
        )
        try:
            _set_up(database, writing=writing)
        except BaseException:
            database.close()
            raise
        return database

    def remember(self) -> None:
        """Take the files that lie at the path now for the ones that are open."""
        self._identity = self._seen()

    def check(self) -> None:
        """Raise `Unavailable` if another file than the one that is open lies at the path."""
        if self._seen() != self._identity:
            raise unavailable(
                "the database file was replaced or removed while it was open; restart the server"
            )

    def _seen(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._named)  # noqa: PTH116  once per batch: a third of what Path.stat costs
        except OSError:
            return None
        return (found.st_dev, found.st_ino)


def _hasten_values() -> None:
    """Say of bytes and None that they are stored as they are.

    sqlite3 asks each value, unless it is exactly an int, float, str or bytearray, how it wants to be stored, and asks
    its own protocol before; what is registered it need not ask. That took twice as long as storing the value.
    """
    sqlite3.register_adapter(bytes, bytes.__bytes__)
    sqlite3.register_adapter(type(None), lambda nothing: nothing)


def _set_up(database: sqlite3.Connection, *, writing: bool) -> None:
    database.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute("PRAGMA trusted_schema = OFF")
    if writing:
        database.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten: who is erased is not to be found in the file either. Some builds' default.
        database.execute("PRAGMA secure_delete = ON")
        database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        database.execute(f"PRAGMA journal_size_limit = {LARGEST_WAL_KEPT}")
    else:
        database.execute("PRAGMA query_only = ON")


@contextlib.contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn SQLite's errors while opening into `Misconfigured`."""
    try:
        yield
    except sqlite3.Error as error:
        raise Misconfigured(f"the database {path} cannot be opened: {meaning(error)}") from error
