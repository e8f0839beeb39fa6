"""What makes memory as strict as a read: a commit by any process is noticed before memory answers.

Three parties write. The server's own batches drop what they changed on the loop, before their callers hear of them.
A command in another process writes what it changes into the table `changes`, in the same transaction. Whoever commits
moves the header of the WAL index before it can acknowledge; so a header that stands still means that nobody did, and
one that moved means: read `changes` first. The header is taken before that read, never after, so that a commit in
between moves it once more. Reads that fill the memory run on the same loop without waiting, so none can be overtaken
between its read and its entry.
"""

from __future__ import annotations

from collections.abc import Iterable

from sessiond.domain.records import Key, Kind
from sessiond.domain.sessions import Standing
from sessiond.storage.cache import StandingCache
from sessiond.storage.engines.sqlite.reads import Reads
from sessiond.storage.engines.sqlite.wal_index import WalIndex


class TrustedMemory:
    """The server's standings in memory, and up to which change by others they hold. Lives on the loop."""

    def __init__(self, reads: Reads, index: WalIndex, limit: int) -> None:
        self._reads = reads
        self._index = index
        self._cache = StandingCache(limit)
        self.get = self._cache.get
        """Return what is known of a session; only after `has_moved` was False or `catch_up` succeeded."""
        self._header = index.header()
        self.caught_up_to = reads.newest_change()

    def has_moved(self) -> bool:
        """Tell whether anybody committed since `catch_up`."""
        return self._index.header() != self._header

    def is_current(self) -> bool:
        """Tell whether the index that is looked at is still the one that SQLite writes."""
        return self._index.is_current()

    def catch_up(self) -> None:
        """Drop what others changed. Raises `sqlite3.Error` when it cannot be known; then nothing is trusted."""
        header = self._index.header()
        for sequence, kind, project, identifier in self._reads.changes(self.caught_up_to):
            self._cache.drop(Kind(kind), project, identifier)
            self.caught_up_to = sequence
        self._header = header

    def keep(self, standing: Standing) -> None:
        """Remember what was just read."""
        self._cache.put(standing)

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget what one of our own batches wrote, or may have written."""
        for key in keys:
            self._cache.drop_key(key)

    def close(self) -> None:
        """Let go of the index, after SQLite did."""
        self._index.close()
