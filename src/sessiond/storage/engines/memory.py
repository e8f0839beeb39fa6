"""The memory engine: the whole contract in plain dictionaries, lost at exit. For tests, and to be read first."""

# ruff: noqa: D102  what each method does is said by the port, sessiond.services.ports.Store

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import cast

import msgspec

from sessiond.domain.endings import ended_alone
from sessiond.domain.errors import Conflict, Misconfigured
from sessiond.domain.events import Event
from sessiond.domain.freshness import STRICT, Staleness
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, partition_of
from sessiond.domain.instants import Instant
from sessiond.domain.projects import Deployment, Project, deployment_key, project_key
from sessiond.domain.records import Key, Record
from sessiond.domain.sessions import Actor, Session, Standing, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.services.measures import StoreMeasures
from sessiond.services.movable import MovableStore, Number, Stretch
from sessiond.services.ports import Change, Place, Revocation, Selection, Touch
from sessiond.storage.engine import MOVED_AWAY, Role, check_shape, unavailable
from sessiond.storage.positions import Positions

SHARED = False


_BEFORE_ALL = (-1, Partition(-1))
_places: msgspec.json.Decoder[tuple[Key | None, tuple[int, Partition]]] = msgspec.json.Decoder(
    tuple[Key | None, tuple[int, Partition]]
)


async def open_store(
    url: str,
    *,
    role: Role,  # noqa: ARG001  the signature of all
    cache_records: int = 100_000,  # noqa: ARG001
    max_staleness: timedelta = STRICT,  # noqa: ARG001
) -> MovableStore:
    """Open a new, empty store; *url* is `memory://` and nothing more."""
    if url != "memory://":
        raise Misconfigured("a memory:// URL takes nothing after it; every opening is a store of its own")
    return MemoryStore()


class MemoryStore:
    """Records in a dictionary. Every method runs to its end without waiting, so each is atomic by itself."""

    reads_wait = False

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._events: dict[tuple[int, Partition], Event] = {}
        self._sequence = 0
        self._fenced = False
        self._closed = False

    async def get(self, key: Key) -> Record | None:
        self.check()
        return self._records.get(key)

    async def get_many(self, keys: Sequence[Key]) -> Sequence[Record | None]:
        self.check()
        return [self._records.get(key) for key in keys]

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        return self.peek_session(project, session)

    def peek_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        self.check()
        found = self._session(project, session)
        if found is None:
            return None
        partition, actor = partition_of(session), found.actor
        return Standing(
            session=found,
            subject=cast("Subject | None", self._records.get(subject_key(project, found.subject, partition))),
            project=cast("Project | None", self._records.get(project_key(project))),
            deployment=cast("Deployment | None", self._records.get(deployment_key())),
            actor=self._acting_subject(project, actor),
            acting=self._session(project, actor.session) if actor and actor.session else None,
        )

    async def list_by_subject(
        self,
        project: ProjectId,
        subject: SubjectId,
        *,
        live_at: Instant | None = None,
        limit: int | None = None,
        before: SessionId | None = None,
        partition: Partition | None = None,  # noqa: ARG002  sessions of all partitions lie together
    ) -> Sequence[Session]:
        self.check()
        found = [
            session
            for session in self._sessions()
            if session.project == project
            and session.subject == subject
            and (before is None or session.id < before)
            and (live_at is None or ended_alone(session, live_at) is None)
        ]
        return sorted(found, key=lambda session: session.id, reverse=True)[:limit]

    async def scan(
        self, selection: Selection, *, limit: int, offset: int = 0, after: Place | None = None
    ) -> Sequence[Record]:
        self.check()
        newest_first = sorted(
            (
                record
                for record in self._selected(selection)
                if after is None or _place(record) < (after.sorted_at, after.id)
            ),
            key=_place,
            reverse=True,
        )
        return newest_first[offset : offset + limit]

    async def count(self, selection: Selection) -> int:
        self.check()
        return sum(1 for _ in self._selected(selection))

    async def apply(self, change: Change) -> None:
        self._check_writable()
        check_shape(change)
        for key, version in change.expects.items():
            present = self._records.get(key)
            if (present.version if present is not None else 0) != version:
                raise Conflict(f"{key.kind} is not at version {version}")
        for record in change.puts:
            self._records[record.key] = self._merged(record)
        for key in change.deletes:
            self._records.pop(key, None)
        self._append(change.events)

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        self._check_writable()
        return [self._revoke(revocation) for revocation in revocations]

    async def touch(self, touches: Sequence[Touch]) -> None:
        self._check_writable()
        for touch in touches:
            session = self._session(touch.project, touch.session)
            if session is not None:
                self._records[session.key] = session.touched(
                    seen_at=touch.seen_at, generation=touch.generation
                )

    async def events(
        self,
        *,
        after: int,
        limit: int,
        project: ProjectId | None = None,
        partition: Partition | None = None,
    ) -> Sequence[tuple[int, Event]]:
        self.check()
        found = [
            (sequence, event)
            for (sequence, _), event in sorted(self._events.items(), key=_number)
            if sequence > after and project in {None, event.project} and partition in {None, event.partition}
        ]
        return found[:limit]

    async def follow(
        self,
        mark: bytes,
        *,
        limit: int,
        everywhere: bool = True,  # noqa: ARG002  that costs no more
    ) -> tuple[Sequence[tuple[int, Event]], bytes]:
        positions = Positions(mark)
        rows = await self.events(after=positions.floor, limit=len(self._events))
        told = positions.unknown(rows)[:limit]
        if len(told) < limit:
            return told, positions.at_the_end(rows[-1][0] if rows else 0)
        last = told[-1][0]
        return told, positions.within(last, (event.partition for sequence, event in told if sequence == last))

    async def rewrite_events(self, rewritten: Sequence[tuple[int, Event]]) -> None:
        self._check_writable()
        for sequence, event in rewritten:
            if (sequence, event.partition) in self._events:
                self._events[sequence, event.partition] = event

    async def newest_event(self) -> int:
        self.check()
        return self._sequence

    async def walk(self, place: str, *, limit: int) -> Stretch:
        self.check()
        key, number = _places.decode(place) if place else (None, _BEFORE_ALL)
        records = sorted(each for each in self._records.items() if key is None or each[0] > key)[:limit]
        room = limit - len(records)
        told = sorted((each for each in self._events.items() if each[0] > number), key=_number)[:room]
        behind = (records[-1][0] if records else key, told[-1][0] if told else number)
        return Stretch(
            records=[record for _, record in records],
            events=[(sequence, event) for (sequence, _), event in told],
            place=None if len(records) + len(told) < limit else msgspec.json.encode(behind).decode(),
        )

    async def find_events(self, numbers: Sequence[Number]) -> Sequence[Event | None]:
        self.check()
        return [self._events.get((sequence, partition)) for partition, sequence in numbers]

    async def adopt_events(self, told: Sequence[tuple[int, Event]], *, newest: int) -> None:
        self._check_writable()
        for sequence, event in told:
            self._events[sequence, event.partition] = event
        self._sequence = max(self._sequence, newest, *(sequence for sequence, _ in told))

    async def drop_events(self, numbers: Sequence[Number]) -> None:
        self._check_writable()
        for partition, sequence in numbers:
            self._events.pop((sequence, partition), None)

    async def fence(self, *, up: bool) -> None:
        self.check()
        self._fenced = up

    async def purge(self, *, ended_before: Instant, due_before: Instant, limit: int) -> int:
        self._check_writable()
        going = [key for key, record in self._records.items() if _may_go(record, ended_before, due_before)]
        going = going[:limit]
        for key in going:
            del self._records[key]
        return len(going)

    async def purge_events(self, *, before: Instant, limit: int) -> int:
        self._check_writable()
        old = [(event.at, number) for number, event in self._events.items() if event.at < before]
        going = sorted(old)[:limit]
        for _, number in going:
            del self._events[number]
        return len(going)

    def check(self) -> None:
        if self._closed:
            raise unavailable("it was closed")

    def durability(self) -> str | None:
        return None

    def staleness(self) -> Staleness | None:
        return None

    def measures(self) -> StoreMeasures:
        return StoreMeasures()

    async def close(self) -> None:
        self._closed = True

    def _check_writable(self) -> None:
        self.check()
        if self._fenced:
            raise unavailable(MOVED_AWAY)

    def _session(self, project: ProjectId, session: SessionId) -> Session | None:
        return cast("Session | None", self._records.get(session_key(project, session)))

    def _acting_subject(self, project: ProjectId, actor: Actor | None) -> Subject | None:
        if actor is None or actor.subject is None or actor.partition is None:
            return None
        return cast("Subject | None", self._records.get(subject_key(project, actor.subject, actor.partition)))

    def _sessions(self) -> Iterable[Session]:
        return (record for record in self._records.values() if isinstance(record, Session))

    def _selected(self, selection: Selection) -> Iterable[Record]:
        return (record for key, record in self._records.items() if _selects(selection, key, record))

    def _merged(self, record: Record) -> Record:
        former = self._records.get(record.key)
        if not isinstance(record, Session) or not isinstance(former, Session):
            return record
        return msgspec.structs.replace(
            record,
            last_seen_at=max(record.last_seen_at, former.last_seen_at),
            seen_generation=max(record.seen_generation, former.seen_generation),
        )

    def _revoke(self, revocation: Revocation) -> Session | None:
        session = self._session(revocation.project, revocation.session)
        if session is None or session.revoked_at is not None:
            return session
        ended = session.revoked(now=revocation.at, reason=revocation.reason)
        self._records[ended.key] = ended
        self._append([revocation.event])
        return ended

    def _append(self, events: Sequence[Event]) -> None:
        for event in events:
            self._sequence += 1
            self._events[self._sequence, event.partition] = event


def _number(entry: tuple[tuple[int, Partition], Event]) -> tuple[int, Partition]:
    return entry[0]


def _place(record: Record) -> tuple[Instant, bytes]:
    return (record.sorted_at, record.key.id)


def _selects(selection: Selection, key: Key, record: Record) -> bool:
    if key.kind is not selection.kind or selection.project not in {None, key.project}:
        return False
    if selection.owner not in {None, record.owner}:
        return False
    if selection.expired_at is None:
        return True
    limit = record.expires_at_or_none
    return (limit is not None and limit <= selection.expired_at) is selection.expired


def _may_go(record: Record, ended_before: Instant, due_before: Instant) -> bool:
    if not isinstance(record, Session):
        return record.purge_at is not None and record.purge_at < due_before
    revoked = record.revoked_at is not None and record.revoked_at < ended_before
    return revoked or record.expires_at < ended_before
