"""The server lock: one server per database file, by a file beside it. Commands do not take it."""

from __future__ import annotations

import fcntl
import os

from sessiond.domain.errors import Misconfigured


class ServerLock:
    """A lock on PATH.lock. The system lets go of it when its process ends, however it ends.

    The database file itself must not be locked this way: closing any descriptor of it would drop SQLite's own locks.
    """

    def __init__(self, database: str) -> None:
        self._path = f"{database}.lock"
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock, or return False when another server holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def acquire(self) -> None:
        """Take the lock, or raise `Misconfigured`."""
        if not self.try_acquire():
            raise Misconfigured(
                "another server is already running on this database; stop it first, or give this one a database "
                "of its own (--data-dir or --database)"
            )

    def is_lost(self) -> bool:
        """Tell whether the lock that is held is of no file any more, or of another: a second server may have begun."""
        if self._descriptor is None:
            return False
        try:
            found = os.stat(self._path)  # noqa: PTH116  compared with what fstat says
        except OSError:
            return True
        return not os.path.samestat(found, os.fstat(self._descriptor))

    def release(self) -> None:
        """Let go; the file stays, so that nobody locks one that is about to vanish."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
