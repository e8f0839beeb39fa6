"""Memory agrees with SQLite, and with PostgreSQL, under random operations, a command writing beside the server."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sessiond.domain.errors import Conflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import (
    DEFAULT_PROJECT,
    Partition,
    ProjectId,
    SessionId,
    SubjectId,
    mint_id,
    partition_of,
)
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Actor, session_key
from sessiond.services.ports import Change, Place, Selection, Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import NOW
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisServer

PEOPLE = {SubjectId("alice"): Partition(1), SubjectId("bob"): Partition(2)}
IDS = [mint_id(now=NOW + n, partition=Partition(1 + n % 2), entropy=bytes(8)) for n in range(6)]
EVERYTHING = 1000

people = st.sampled_from(sorted(PEOPLE))
projects = st.sampled_from((DEFAULT_PROJECT, samples.OTHER_PROJECT))
ids = st.sampled_from(IDS)
instants = st.integers(NOW - 3, NOW + 8)
places = st.none() | st.sampled_from([Place(NOW + n, each) for n, each in enumerate(IDS)])
partitions = st.sampled_from(sorted(PEOPLE.values()))
generations = st.integers(-1, 4)
actors = st.none() | st.builds(
    lambda name, session: Actor(
        name="a", reason="r", subject=name, partition=PEOPLE[name], session=session, epoch=1
    ),
    people,
    st.none() | ids,
)
selections = st.builds(
    Selection,
    kind=st.sampled_from((Kind.SESSION, Kind.SUBJECT, Kind.PROJECT, Kind.TALLY)),
    project=st.none() | projects,
    owner=st.none() | people | st.just("user"),
    expired_at=st.none() | instants,
    expired=st.booleans(),
)

T = TypeVar("T")
Call = Callable[[Store], Coroutine[Any, Any, object]]


def project_of(session: SessionId) -> ProjectId:
    """Return the one project of a session's id, as ids never repeat in a deployment."""
    return (DEFAULT_PROJECT, samples.OTHER_PROJECT)[IDS.index(session) % 3 == 0]


class Agreement(RuleBasedStateMachine):
    """Each rule does one thing to memory and to SQLite, through the server or the command."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        url = self.url()
        self.memory = self.run(open_store("memory://", role=Role.SERVER))
        self.server = self.run(open_store(url, role=Role.SERVER, cache_records=4))
        self.command = self.run(open_store(url, role=Role.TOOL))

    def url(self) -> str:
        """Return where a new and empty store is made."""
        return f"sqlite:///{Path(self.folder.name)}/sessiond.db"

    def teardown(self) -> None:
        if hasattr(self, "command"):
            self.run(self.command.close())
            self.run(self.server.close())
            self.runner.close()
            self.folder.cleanup()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def both(self, call: Call, *, by_command: bool = False) -> None:
        self.compare(call, self.command if by_command else self.server)

    def compare(self, call: Call, sqlite: Store) -> None:
        async def answer(store: Store) -> object:
            try:
                found = await call(store)
            except Conflict:
                return Conflict
            return list(found) if isinstance(found, Sequence) else found

        expected = self.run(answer(self.memory))
        assert self.run(answer(sqlite)) == expected

    def put(self, record: Record, *, wrong: int, by_command: bool, guard: Key | None = None) -> None:
        """Put *record* over what is there, expecting a version that is *wrong* by so much."""
        present = self.run(self.memory.get(record.key))
        version = present.version if present is not None else 0
        expects = {record.key: max(0, version + wrong)}
        if guard is not None and guard != record.key:
            expects[guard] = 1
        change = Change(
            partition=record.key.partition,
            expects=expects,
            puts=[msgspec.structs.replace(record, version=version + 1)],
            events=[samples.event(at=NOW + version, partition=record.key.partition)],
        )
        self.both(lambda store: store.apply(change), by_command=by_command)

    @rule(
        session=ids,
        subject=people,
        actor=actors,
        revoked_at=st.none() | instants,
        expires_at=instants,
        seen_at=instants,
        generation=st.integers(0, 3),
        idle=st.none() | st.integers(1, 5),
        wrong=st.sampled_from((0, 0, 0, 1, -1)),
        by_command=st.booleans(),
        guarded=st.booleans(),
    )
    def put_session(
        self,
        *,
        session: SessionId,
        subject: SubjectId,
        actor: Actor | None,
        revoked_at: int | None,
        expires_at: int,
        seen_at: int,
        generation: int,
        idle: int | None,
        wrong: int,
        by_command: bool,
        guarded: bool,
    ) -> None:
        record = samples.session(
            subject,
            id=session,
            project=project_of(session),
            created_at=NOW + IDS.index(session),
            last_seen_at=seen_at,
            expires_at=expires_at,
            idle_timeout_ms=idle,
            actor=actor,
            generation=generation,
            revoked_at=revoked_at,
            revoked_reason="r" if revoked_at else None,
        )
        guard = samples.subject(subject, project=record.project, partition=partition_of(session)).key
        self.put(record, wrong=wrong, by_command=by_command, guard=guard if guarded else None)

    @rule(
        subject=people,
        project=projects,
        epoch=st.integers(-9, 9),
        wrong=st.sampled_from((0, 0, 1)),
        by_command=st.booleans(),
    )
    def put_subject(
        self, subject: SubjectId, project: ProjectId, epoch: int, wrong: int, *, by_command: bool
    ) -> None:
        record = samples.subject(subject, project=project, partition=PEOPLE[subject], created_at=NOW + epoch)
        self.put(samples.renewed(record, epoch), wrong=wrong, by_command=by_command)

    @rule(project=projects, epoch=st.integers(-9, 9), by_command=st.booleans())
    def put_control_records(self, project: ProjectId, epoch: int, *, by_command: bool) -> None:
        for record in (samples.project(project), samples.deployment()):
            changed = msgspec.structs.replace(record, epoch=epoch)
            self.put(changed, wrong=0, by_command=by_command)

    @rule(until=instants, by_command=st.booleans())
    def put_tally(self, until: int, *, by_command: bool) -> None:
        self.put(samples.tally(a=until), wrong=0, by_command=by_command)

    @rule(
        session=ids, of_subject=st.none() | people, wrong=st.sampled_from((0, 0, 1)), by_command=st.booleans()
    )
    def delete(
        self, session: SessionId, of_subject: SubjectId | None, wrong: int, *, by_command: bool
    ) -> None:
        key = session_key(project_of(session), session)
        if of_subject is not None:
            key = samples.subject(of_subject, partition=PEOPLE[of_subject]).key
        present = self.run(self.memory.get(key))
        change = samples.delete(key, (present.version if present is not None else 0) + wrong)
        self.both(lambda store: store.apply(change), by_command=by_command)

    @rule(
        sessions=st.lists(ids, max_size=3),
        project=st.none() | projects,
        at=instants,
        by_command=st.booleans(),
    )
    def revoke(
        self, sessions: list[SessionId], project: ProjectId | None, at: int, *, by_command: bool
    ) -> None:
        revocations = [
            samples.revocation(samples.session(id=each, project=project or project_of(each)), at=at)
            for each in sessions
        ]
        self.both(lambda store: store.revoke(revocations), by_command=by_command)

    @rule(
        touches=st.lists(st.tuples(ids, instants, generations), max_size=3),
        project=st.none() | projects,
        by_command=st.booleans(),
    )
    def touch(
        self, touches: list[tuple[SessionId, int, int]], project: ProjectId | None, *, by_command: bool
    ) -> None:
        each = [
            Touch(project=project or project_of(session), session=session, seen_at=at, generation=generation)
            for session, at, generation in touches
        ]
        self.both(lambda store: store.touch(each), by_command=by_command)

    @rule(before=instants, by_command=st.booleans())
    def purge(self, before: int, *, by_command: bool) -> None:
        self.both(
            lambda store: store.purge(ended_before=before, due_before=before, limit=EVERYTHING),
            by_command=by_command,
        )

    @rule(before=instants, limit=st.integers(0, 5))
    def purge_events(self, before: int, limit: int) -> None:
        self.both(lambda store: store.purge_events(before=before, limit=limit))

    @rule(
        project=projects,
        subject=people,
        live_at=st.none() | instants,
        limit=st.none() | st.integers(0, 3),
        before=st.none() | ids,
    )
    def list_by_subject(
        self,
        project: ProjectId,
        subject: SubjectId,
        live_at: int | None,
        limit: int | None,
        before: SessionId | None,
    ) -> None:
        self.both(
            lambda store: store.list_by_subject(project, subject, live_at=live_at, limit=limit, before=before)
        )

    @rule(selection=selections, limit=st.integers(0, 4), offset=st.integers(0, 3), after=places)
    def scan_and_count(self, selection: Selection, limit: int, offset: int, after: Place | None) -> None:
        self.both(lambda store: store.scan(selection, limit=limit, offset=offset, after=after))
        self.both(lambda store: store.count(selection))

    @rule(
        after=st.integers(0, 9),
        limit=st.integers(0, 9),
        project=st.none() | projects,
        partition=st.none() | partitions,
    )
    def events(self, after: int, limit: int, project: ProjectId | None, partition: Partition | None) -> None:
        self.both(lambda store: store.events(after=after, limit=limit, project=project, partition=partition))
        self.both(lambda store: store.newest_event())

    @rule(
        numbers=st.lists(st.integers(1, 9), max_size=3),
        at=instants,
        partition=partitions,
        by_command=st.booleans(),
    )
    def rewrite_events(self, numbers: list[int], at: int, partition: Partition, *, by_command: bool) -> None:
        told = samples.event(EventType.SUBJECT_DELETED, at=at, partition=partition)
        rewritten = [(number, told) for number in numbers]
        self.both(lambda store: store.rewrite_events(rewritten), by_command=by_command)

    @rule(session=ids, project=projects)
    def find_session(self, session: SessionId, project: ProjectId) -> None:
        self.both(lambda store: store.find_session(project, session))
        self.both(lambda store: store.get_many([session_key(project, each) for each in IDS]))

    @invariant()
    def memory_of_the_server_is_never_behind(self) -> None:
        if not hasattr(self, "command"):
            return
        for session in IDS:
            peeked = self.server.peek_session(project_of(session), session)
            if peeked is not None:
                assert peeked == self.memory.peek_session(project_of(session), session)


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


class AgreementOnPostgresql(Agreement):
    """The same rules, done to memory and to PostgreSQL."""

    database: ClassVar[PostgresqlServer]

    def url(self) -> str:
        return self.database.url()


@pytest.fixture
def on_postgresql(postgresql: PostgresqlServer) -> None:
    AgreementOnPostgresql.database = postgresql


@pytest.mark.usefixtures("on_postgresql")
class TestAgreementOnPostgresql(AgreementOnPostgresql.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=15, stateful_step_count=40, deadline=None)


class AgreementOnRedis(Agreement):
    """The same rules, done to memory and to Redis, whose sequences are other numbers in the same order."""

    database: ClassVar[RedisServer]

    def url(self) -> str:
        return self.database.url()

    def told(self, store: Store, partition: Partition) -> list[tuple[int, Event]]:
        return list(self.run(store.events(after=0, limit=EVERYTHING, partition=partition)))

    @rule(partition=partitions, project=st.none() | projects, skipped=st.integers(0, 3))
    def events(self, partition: Partition, project: ProjectId | None, skipped: int) -> None:
        ours, theirs = self.told(self.server, partition), self.told(self.memory, partition)
        assert [event for _, event in ours] == [event for _, event in theirs]
        if len(ours) > skipped:
            after = ours[skipped][0]
            found = self.run(self.server.events(after=after, limit=2, project=project, partition=partition))
            rest = [told for told in ours[skipped + 1 :] if project in {None, told[1].project}]
            assert list(found) == rest[:2]

    @rule(partition=partitions, index=st.integers(0, 3), at=instants)
    def rewrite_events(self, partition: Partition, index: int, at: int) -> None:
        told = samples.event(EventType.SUBJECT_DELETED, at=at, partition=partition)
        for store in (self.memory, self.server):
            numbers = [number for number, _ in self.told(store, partition)]
            self.run(store.rewrite_events([(number, told) for number in numbers[index : index + 1]]))

    @rule()
    def purge_events(self) -> None:
        # All of them: one that tells of an earlier instant than the one before it waits for that one here.
        self.both(lambda store: store.purge_events(before=NOW + EVERYTHING, limit=EVERYTHING))


@pytest.fixture
def on_redis(redis_server: RedisServer) -> None:
    AgreementOnRedis.database = redis_server


@pytest.mark.usefixtures("on_redis")
class TestAgreementOnRedis(AgreementOnRedis.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
