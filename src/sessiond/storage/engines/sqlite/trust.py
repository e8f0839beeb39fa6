"""What makes memory as strict as a read: a commit by any process is noticed before memory answers.

Three parties write. What the server's own batches changed is taken over or dropped on the loop, before their callers
hear of it, and doubted once the header moved: others may see a batch earlier, and acknowledge what they found. A
command in another process writes what it changes into the table `changes`, in the same transaction. Whoever commits
moves the header of the WAL index before it can acknowledge; so a header that stands still means that nobody did, and
one that moved means: read `changes` first. The header is taken before that read, never after, so that a commit in
between moves it once more. Reads that fill the memory run on the same loop without waiting, so none can be overtaken
between its read and its entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from sessiond.domain.ids import ProjectId, SessionId, SubjectId
from sessiond.domain.projects import CONTROL_PARTITION, Deployment, Project, deployment_key, project_key
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import Subject
from sessiond.storage.batching import Outcome
from sessiond.storage.cache import Recent, StandingCache
from sessiond.storage.engines.sqlite.operations import Apply, Operation, TouchAll
from sessiond.storage.engines.sqlite.reads import Reads
from sessiond.storage.engines.sqlite.rows import project_bytes, project_text
from sessiond.storage.engines.sqlite.wal_index import WalIndex

OFTEN_READ = frozenset({Kind.DEPLOYMENT, Kind.PROJECT, Kind.SERVER_KEY})
"""Kinds that, like subjects, nearly every write reads first and that change rarely: all in the control partition."""

_SUBJECT = Kind.SUBJECT


class TrustedMemory:
    """The server's standings and often-read records, and up to which change by others they hold. Lives on the loop."""

    def __init__(self, reads: Reads, index: WalIndex, limit: int) -> None:
        self._reads = reads
        self._index = index
        self._cache = StandingCache(limit, self._completed)
        self._records: Recent[Key, Record] = Recent(limit)
        self.get = self._cache.get
        """Return what is known of a session; only after `has_moved` was False or `catch_up` succeeded."""
        self.seen = self._cache.seen
        """Return a session as it was last seen; at any time."""
        self.all_seen = self._cache.all_seen
        """Return sessions, if all are known; only after `has_moved` was False or `catch_up` succeeded."""
        self.header = index.header
        """Return the header of the index as it is now; any thread may ask."""
        self.caught_up_at = index.header()
        self.caught_up_to = reads.newest_change()

    @property
    def sessions_known(self) -> int:
        """How many sessions it may answer for."""
        return len(self._cache)

    def has_moved(self) -> bool:
        """Tell whether anybody committed since `catch_up`."""
        return self._index.header() != self.caught_up_at

    def is_current(self) -> bool:
        """Tell whether the index that is looked at is still the one that SQLite writes."""
        return self._index.is_current()

    def catch_up(self) -> None:
        """Drop what others changed. Raises `sqlite3.Error` when it cannot be known; then nothing is trusted."""
        header = self._index.header()
        for sequence, kind, project, identifier in self._reads.changes(self.caught_up_to):
            self._drop(Kind(kind), project, identifier)
            self.caught_up_to = sequence
        self.caught_up_at = header

    def keep(self, standing: Standing) -> None:
        """Remember what was just read."""
        self._cache.put(standing)

    def keep_sessions(self, sessions: Iterable[Session]) -> None:
        """Remember sessions that were just read by themselves."""
        self._cache.welcome(sessions)

    def records(self, keys: Iterable[Key]) -> list[Record | None]:
        """Return what is known of some records; only after `has_moved` was False or `catch_up` succeeded."""
        found: list[Record | None] = []
        for key in keys:
            if key.kind is _SUBJECT:
                found.append(self._cache.subject((key.project, SubjectId(key.id.decode()))))
            else:
                found.append(self._records.get(key))
        return found

    def keep_record(self, record: Record) -> None:
        """Remember a record that was just read, if it is of a kind that is often read."""
        if isinstance(record, Subject):
            self._cache.keep_subject(record, project_text(project_bytes(record.project)), record.id)
        elif record.kind in OFTEN_READ:
            self._records.put(record.key, record)

    def take_over(
        self, operations: Sequence[Operation], outcomes: Sequence[Outcome], *, caught_up_to: int
    ) -> None:
        """Know what our own batch came to, before which others' changes were followed up to *caught_up_to*.

        What failed is forgotten like what is not known: a commit whose end is unknown may have happened. Sessions that
        were made are kept only where nothing of others was followed since: one may have been to such a session, and
        nothing would drop it again.
        """
        born: list[Session] = []
        others: list[tuple[Operation, Outcome]] = []
        for operation, outcome in zip(operations, outcomes, strict=True):
            if outcome is None and type(operation) is Apply:
                born += operation.born
            if operation.stale:
                others.append((operation, outcome))
        if self.caught_up_to == caught_up_to:
            self._cache.welcome(born)
        for operation, outcome in others:
            if outcome is None and type(operation) is Apply:
                self._take_over_change(operation)
            elif outcome is None and type(operation) is TouchAll:
                for touch in operation.touches:
                    self._cache.touch(touch)
            else:
                self.forget((operation,))

    def doubt(self, operations: Iterable[Operation]) -> None:
        """Drop what stands on what *operations* may have changed; their sessions stay, to be taken over."""
        for operation in operations:
            for key in operation.stale:
                if key.kind is Kind.SESSION:
                    self._cache.drop_acting(SessionId(key.id))
                else:
                    self._drop(key.kind, key.project, key.id)

    def forget(self, operations: Iterable[Operation]) -> None:
        """Drop what *operations* may have changed."""
        for operation in operations:
            for key in operation.stale:
                self._drop(key.kind, key.project, key.id)

    def _take_over_change(self, applied: Apply) -> None:
        """Know what a change wrote over what was there."""
        puts = applied.change.puts
        if len(puts) == 1 and not applied.change.deletes and isinstance(puts[0], Session):
            self._cache.replace(puts[0])
        else:
            self.forget((applied,))

    def _drop(self, kind: Kind, project: ProjectId, identifier: bytes) -> None:
        self._cache.drop(kind, project, identifier)
        if kind in OFTEN_READ:
            self._records.drop(Key(kind, CONTROL_PARTITION, project, identifier))

    def _completed(self, session: Session) -> Standing | None:
        """Return the standing of a session that was just made, if memory knows all that it stands on."""
        project = session.project
        subject = self._cache.subject((project, session.subject))
        if subject is None or subject.key.partition != session.key.partition:
            return None
        return Standing(
            session=session,
            subject=subject,
            project=cast("Project | None", self._records.get(project_key(project))),
            deployment=cast("Deployment | None", self._records.get(deployment_key())),
        )

    def close(self) -> None:
        """Let go of the index, after SQLite did."""
        self._index.close()
