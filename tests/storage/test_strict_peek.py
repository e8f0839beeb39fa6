"""No peek that starts after a write was acknowledged, by any process, answers what was before it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, SubjectId
from sessiond.domain.sessions import Session
from sessiond.domain.subjects import Subject
from sessiond.services.ports import Change, Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite.database import DatabaseFile
from sessiond.storage.engines.sqlite.operations import Apply
from sessiond.storage.engines.sqlite.reads import Reads
from sessiond.storage.engines.sqlite.trust import TrustedMemory
from sessiond.storage.engines.sqlite.wal_index import WalIndex
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import NOW

COMMAND = Path(__file__).parent / "command.py"
STOOD_ON = (samples.project(), samples.deployment(), samples.subject())
Tell = Callable[..., None]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sessiond.db"


@pytest.fixture
async def server(url: str) -> AsyncIterator[Store]:
    store = await open_store(url, role=Role.SERVER)
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject()))
    yield store
    await store.close()


@pytest.fixture
def tell(url: str, server: Store) -> Iterator[Tell]:
    """Give the words to a command in another process and wait until it has acknowledged them."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, COMMAND, url], stdin=pipe, stdout=pipe, text=True) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        requests, answers = command.stdin, command.stdout
        assert answers.readline() == "ready\n"

        def tell(verb: str, *words: object) -> None:
            print(verb, DEFAULT_PROJECT, *words, file=requests, flush=True)
            assert answers.readline() == "done\n"

        yield tell
        requests.close()
        assert command.wait(120) == 0


async def known(server: Store, *sessions: Session) -> None:
    """Put *sessions* and make sure that memory answers for them."""
    for session in sessions:
        await server.apply(samples.put(session))
        await server.find_session(DEFAULT_PROJECT, session.id)
        assert server.peek_session(DEFAULT_PROJECT, session.id) is not None


def peek(server: Store, session: SessionId) -> Session | None:
    standing = server.peek_session(DEFAULT_PROJECT, session)
    return standing.session if standing is not None else None


def touch(session: Session, seen_at: int) -> Touch:
    return Touch(project=session.project, session=session.id, seen_at=seen_at, generation=0)


async def test_memory_answers_what_was_read_before(server: Store) -> None:
    session = samples.session()
    await known(server, session)
    assert server.peek_session(DEFAULT_PROJECT, session.id) == await server.find_session(
        DEFAULT_PROJECT, session.id
    )


async def test_other_sessions_commits_leave_memory_in_use(server: Store, tell: Tell) -> None:
    session, other = samples.session(), samples.session()
    await known(server, session, other)
    await server.apply(samples.put(samples.session()))
    tell("revoke", other.id.hex())
    assert peek(server, session.id) == session


async def test_what_the_server_wrote_over_a_session_is_known_without_a_read(
    server: Store, tell: Tell
) -> None:
    session = samples.session()
    await known(server, session)
    successor = session.rotated(now=NOW + 1, kid=session.kid)

    await server.apply(Change(partition=session.key.partition, expects={session.key: 1}, puts=[successor]))

    assert peek(server, session.id) == successor
    tell("revoke", session.id.hex())
    assert peek(server, session.id) is None


async def test_a_session_that_was_seen_is_known_as_its_row_is_without_a_read(
    server: Store, tell: Tell
) -> None:
    asked, unasked, ended = samples.session(), samples.session(), samples.session()
    await known(server, asked, ended)
    await server.get_many([record.key for record in STOOD_ON])
    await server.apply(samples.put(unasked))
    await server.revoke([samples.revocation(ended)])
    await server.find_session(DEFAULT_PROJECT, ended.id)

    await server.touch([touch(each, NOW + 5) for each in (asked, unasked, ended)])
    await server.touch([touch(each, NOW + 2) for each in (asked, unasked)])
    elsewhere = [msgspec.structs.replace(touch(asked, NOW + 9), project=samples.OTHER_PROJECT)]
    await server.touch(elsewhere)

    for session in (asked, unasked):
        assert peek(server, session.id) == session.touched(seen_at=NOW + 5, generation=0)
    for session in (asked, unasked, ended):
        assert peek(server, session.id) == await server.get(session.key)
    tell("revoke", asked.id.hex())
    assert peek(server, asked.id) is None


async def test_a_session_that_others_ended_is_not_known_again_by_a_touch(server: Store, tell: Tell) -> None:
    session = samples.session()
    await known(server, session)
    tell("revoke", session.id.hex())

    await server.touch([touch(session, NOW + 5)])

    assert peek(server, session.id) is None
    assert (await server.revoke([samples.revocation(session)])) == [await server.get(session.key)]


async def test_a_session_that_was_just_made_is_known_without_a_read(server: Store, tell: Tell) -> None:
    session, later = samples.session(), samples.session()
    await server.get_many([record.key for record in STOOD_ON])

    await server.apply(samples.put(session))
    await server.apply(samples.put(later))

    assert peek(server, session.id) == session
    tell("revoke", session.id.hex())
    assert peek(server, session.id) is None
    assert peek(server, later.id) == later
    tell("epoch", samples.ALICE, samples.PARTITION, 77)
    assert peek(server, later.id) is None


async def test_a_session_is_not_known_as_it_was_made_where_others_wrote_before_its_maker_was_told(
    server: Store, tell: Tell, tmp_path: Path
) -> None:
    file = DatabaseFile(tmp_path / "sessiond.db", busy_seconds=1)
    reads = Reads(file.connect(writing=False))
    memory = TrustedMemory(reads, WalIndex(file.path), 10)
    for record in STOOD_ON:
        memory.keep_record(record)
    revoked, untouched = samples.session(), samples.session()
    before = memory.caught_up_to
    await server.apply(samples.put(revoked))
    tell("revoke", revoked.id.hex())
    memory.catch_up()

    take_over(memory, revoked, before)
    take_over(memory, untouched, memory.caught_up_to)

    assert memory.get(DEFAULT_PROJECT, revoked.id) is None
    assert memory.get(DEFAULT_PROJECT, untouched.id) is not None
    reads.close()


def take_over(memory: TrustedMemory, made: Session, caught_up_to: int) -> None:
    memory.take_over([Apply(samples.put(made), [made.key])], [None], caught_up_to=caught_up_to)


async def test_no_revocation_by_another_process_is_missed(server: Store, tell: Tell) -> None:
    sessions = [samples.session() for _ in range(200)]
    await known(server, *sessions)
    for session in sessions:
        assert peek(server, session.id) == session
        tell("revoke", session.id.hex())
        assert peek(server, session.id) is None
        standing = await server.find_session(DEFAULT_PROJECT, session.id)
        assert standing is not None
        assert standing.session.revoked_at is not None


async def test_an_end_answers_what_its_row_is_and_not_what_memory_saw(server: Store, tell: Tell) -> None:
    still, touched = samples.session(), samples.session()
    await known(server, still, touched)
    tell("touch", touched.id.hex(), NOW + 5)

    ended = await server.revoke([samples.revocation(still), samples.revocation(touched)])

    assert ended == [await server.get(still.key), await server.get(touched.key)]
    assert [each.last_seen_at for each in ended if each is not None] == [still.last_seen_at, NOW + 5]
    assert await server.revoke([samples.revocation(still, reason="again")]) == ended[:1]


async def test_the_end_of_an_actor_s_session_by_another_process_is_noticed(server: Store, tell: Tell) -> None:
    bob = samples.subject(SubjectId("bob"), partition=samples.ELSEWHERE)
    own = samples.session(bob.id, id=samples.session_id(NOW, samples.ELSEWHERE))
    await server.apply(samples.put(bob, own))
    acted, plain = samples.session(actor=samples.actor(own.id)), samples.session()
    await known(server, acted, plain)
    for verb in ("revoke", "forget"):
        tell(verb, own.id.hex())
        assert peek(server, acted.id) is None
        assert peek(server, plain.id) == plain
        standing = await server.find_session(DEFAULT_PROJECT, acted.id)
        assert standing is not None
        assert standing.acting is None or standing.acting.revoked_at is not None


async def test_none_is_missed_while_the_server_writes_and_reads_too(server: Store, tell: Tell) -> None:
    sessions = [samples.session() for _ in range(60)]
    await known(server, *sessions)
    for n, session in enumerate(sessions):
        writing = [asyncio.create_task(server.apply(samples.put(samples.session()))) for _ in range(3)]
        await asyncio.sleep(0)
        tell("revoke", session.id.hex())
        assert peek(server, session.id) is None
        await asyncio.gather(*writing)
        assert peek(server, session.id) is None
        assert all(peek(server, later.id) == later for later in sessions[n + 1 :])


async def test_a_subject_s_new_epoch_a_touch_and_a_removal_are_noticed(server: Store, tell: Tell) -> None:
    touched, removed = samples.session(), samples.session()
    await known(server, touched, removed)
    tell("touch", touched.id.hex(), NOW + 5)
    assert peek(server, touched.id) is None
    tell("forget", removed.id.hex())
    assert peek(server, removed.id) is None
    staying = samples.session()
    await known(server, staying)
    tell("epoch", samples.ALICE, samples.PARTITION, 77)
    assert peek(server, staying.id) is None


async def test_a_record_that_is_read_often_is_never_an_old_one(server: Store, tell: Tell) -> None:
    await known(server, samples.session())
    for epoch in range(100):
        before = await server.get(samples.subject().key)
        assert isinstance(before, Subject)
        assert before is await server.get(before.key)
        tell("epoch", samples.ALICE, samples.PARTITION, epoch)
        after = await server.get(before.key)
        assert isinstance(after, Subject)
        assert after.epoch == epoch
        renewed = samples.renewed(after, -epoch)
        await server.apply(samples.put(renewed))
        assert await server.get(before.key) == renewed


async def test_what_a_command_purges_is_noticed(server: Store, tell: Tell) -> None:
    ended, live = samples.session(expires_at=NOW - 1), samples.session()
    await known(server, ended, live)
    tell("purge")
    assert peek(server, ended.id) is None
    assert peek(server, live.id) == live


async def test_a_purge_by_the_server_forgets_what_it_has_caught_up_with(
    server: Store, tell: Tell, tmp_path: Path
) -> None:
    first, second = samples.session(), samples.session()
    await known(server, first, second)
    tell("revoke", first.id.hex())
    assert peek(server, first.id) is None
    await server.purge(ended_before=0, due_before=0, limit=1)
    tell("revoke", second.id.hex())
    assert peek(server, second.id) is None


async def test_a_restarted_write_ahead_log_is_noticed_too(server: Store, tell: Tell) -> None:
    # More pages than an automatic checkpoint waits for, so that the log is copied back and begun anew on the way.
    for n in range(12):
        session = samples.session()
        await known(server, session)
        filling = [samples.tally(b"%d %d" % (n, m), **{"x" * 6000: 1}) for m in range(400)]
        await server.apply(samples.put(*filling))
        tell("revoke", session.id.hex())
        assert peek(server, session.id) is None


async def test_a_commit_while_memory_catches_up_moves_the_header_once_more(
    server: Store, tell: Tell, tmp_path: Path
) -> None:
    session = samples.session()
    await known(server, session)
    file = DatabaseFile(tmp_path / "sessiond.db", busy_seconds=1)

    class Overtaken(Reads):
        """A read that a command's commit follows at once."""

        def changes(self, after: int) -> list[tuple[int, str, ProjectId, bytes]]:
            found = super().changes(after)
            tell("revoke", session.id.hex())
            return found

    reads = Overtaken(file.connect(writing=False))
    memory = TrustedMemory(reads, WalIndex(file.path), 10)
    await server.apply(samples.put(samples.session()))
    assert memory.has_moved()
    memory.catch_up()
    assert memory.has_moved()
    reads.close()


async def test_without_a_cache_memory_never_answers(url: str) -> None:
    store = await open_store(url, role=Role.SERVER, cache_records=0)
    session = samples.session()
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject(), session))
    await store.find_session(DEFAULT_PROJECT, session.id)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is None
    await store.close()


@pytest.mark.parametrize("suffix", ["", "-shm"])
@pytest.mark.parametrize("how", ["replaced", "removed"])
async def test_a_replaced_file_stops_every_answer(
    tmp_path: Path, server: Store, suffix: str, how: str
) -> None:
    session = samples.session()
    await known(server, session)
    path = tmp_path / f"sessiond.db{suffix}"
    aside = path.rename(tmp_path / "aside")
    if how == "replaced":
        path.write_bytes(aside.read_bytes())
    with pytest.raises(Unavailable, match="restart the server"):
        server.check()
    with pytest.raises(Unavailable, match="restart the server"):
        server.peek_session(DEFAULT_PROJECT, session.id)
    with pytest.raises(Unavailable, match="restart the server"):
        await server.find_session(DEFAULT_PROJECT, session.id)
    with pytest.raises(Unavailable, match="restart the server"):
        await server.apply(samples.put(samples.session()))


async def test_a_write_into_a_replaced_file_is_not_acknowledged(tmp_path: Path, server: Store) -> None:
    path = tmp_path / "sessiond.db"
    path.write_bytes(path.rename(tmp_path / "aside").read_bytes())
    with pytest.raises(Unavailable, match="restart the server"):
        await server.apply(samples.put(samples.session()))
    with pytest.raises(Unavailable, match="restart the server"):
        await server.get(samples.subject().key)
