"""A look at the header of SQLite's WAL index: whether anybody committed since, for a tenth of a microsecond.

The first 48 bytes of PATH-shm (https://sqlite.org/walformat.html section 2.1) hold a counter and checksums that every
commit by any process replaces, before the committer is told that it has committed. They are read without a lock: a
look that is torn differs from the whole header, so the next look differs too, and nobody trusts what a torn one was
taken for.
"""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path
from typing import NamedTuple

HEADER_BYTES = 48


class _Shared(NamedTuple):
    mapped: mmap.mmap
    descriptor: int
    users: int


_shared: dict[tuple[int, int], _Shared] = {}
_guard = threading.Lock()


class WalIndex:
    """The mapped header. Open it after SQLite's first read, close it after SQLite's last connection.

    POSIX drops all locks that a process has on a file when it closes any descriptor of it, so this one stays open as
    long as any store of this process has the database open; they share it.
    """

    def __init__(self, database: Path) -> None:
        self._path = f"{database}-shm"
        with _guard:
            found = os.stat(self._path)  # noqa: PTH116  not opened, so that an index that is mapped stays so
            self._identity = (found.st_dev, found.st_ino)
            shared = _shared.get(self._identity) or self._map()
            _shared[self._identity] = shared._replace(users=shared.users + 1)
        self._mapped = shared.mapped

    def header(self) -> bytes:
        """Return the header as it is now; equal headers mean that nobody committed in between."""
        return self._mapped[:HEADER_BYTES]

    def is_current(self) -> bool:
        """Tell whether this is still the index that lies beside the database."""
        try:
            found = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def close(self) -> None:
        """Let go, after all connections of this store are closed."""
        with _guard:
            shared = _shared[self._identity]
            if shared.users > 1:
                _shared[self._identity] = shared._replace(users=shared.users - 1)
                return
            del _shared[self._identity]
            shared.mapped.close()
            os.close(shared.descriptor)

    def _map(self) -> _Shared:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return _Shared(mmap.mmap(descriptor, mmap.PAGESIZE, prot=mmap.PROT_READ), descriptor, 0)
