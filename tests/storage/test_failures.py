"""What fails below the engine: a kill, a full disk, a lock. Nothing acknowledged is lost, and the store comes back."""

import asyncio
import contextlib
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.sessions import Session, session_key
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines import sqlite
from sessiond.storage.engines.sqlite.failures import meaning
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.tracing import trace_statements

WRITING = Path(__file__).parent / "writing.py"
ROUNDS = 4
ACKNOWLEDGED = 400


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sessiond.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await sqlite.open_store(url, role=Role.SERVER, busy_seconds=0.1)
    yield store
    await store.close()


def write_until_killed(url: str) -> list[tuple[str, SessionId]]:
    """Return what a writing process had acknowledged when it was killed in the middle of its work."""
    with subprocess.Popen([sys.executable, WRITING, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        lines = [process.stdout.readline() for _ in range(ACKNOWLEDGED)]
        process.kill()
        lines += process.stdout.readlines()
    words = [line.split() for line in lines if line.endswith("\n")]
    return [(verb, SessionId(bytes.fromhex(identifier))) for verb, identifier in words]


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(url: str) -> None:
    acknowledged: list[tuple[str, SessionId]] = []
    for _ in range(ROUNDS):
        acknowledged += write_until_killed(url)
        store = await open_store(url, role=Role.SERVER)
        for verb, identifier in acknowledged:
            session = await store.get(session_key(DEFAULT_PROJECT, identifier))
            assert isinstance(session, Session)
            assert verb == "issued" or session.revoked_at is not None
        assert await store.newest_event() >= len(acknowledged)
        await store.close()
    assert len(acknowledged) >= ROUNDS * ACKNOWLEDGED


@contextlib.contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_disk_without_room_refuses_and_loses_nothing(store: Store, url: str) -> None:
    kept: list[Session] = []
    refused: list[Session] = []
    with no_file_grows_beyond(300_000):
        for _ in range(20):
            sessions = [samples.session() for _ in range(20)]
            results = await asyncio.gather(
                *(store.apply(samples.put(session)) for session in sessions), return_exceptions=True
            )
            for session, result in zip(sessions, results, strict=True):
                assert result is None or isinstance(result, Unavailable)
                (kept if result is None else refused).append(session)
        assert kept
        assert refused
        assert await store.get_many([session.key for session in kept]) == kept
    assert await store.get_many([session.key for session in refused]) == [None] * len(refused)
    again = refused[0]
    await store.apply(samples.put(again))
    await store.close()
    reopened = await open_store(url, role=Role.SERVER)
    assert await reopened.get_many([session.key for session in [*kept, again]]) == [*kept, again]
    await reopened.close()


async def test_a_database_that_another_process_locks_refuses_and_comes_back(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = samples.session()
    await store.apply(samples.put(known))
    other = sqlite3.connect(tmp_path / "sessiond.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="another process has locked the database"):
        await store.apply(samples.put(samples.session()))
    with pytest.raises(Unavailable):
        await store.revoke([samples.revocation(known)])
    assert "locked" in caplog.text
    assert await store.get(known.key) == known
    other.execute("ROLLBACK")
    other.close()
    await store.apply(samples.put(samples.session()))
    assert (await store.revoke([samples.revocation(known)]))[0] is not None


async def test_a_lock_fails_a_whole_batch_after_one_wait(url: str, tmp_path: Path) -> None:
    store = await sqlite.open_store(url, role=Role.SERVER, busy_seconds=1)
    other = sqlite3.connect(tmp_path / "sessiond.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    applying = asyncio.gather(
        *(store.apply(samples.put(samples.session())) for _ in range(500)), return_exceptions=True
    )
    results = await asyncio.wait_for(applying, 120)  # a wait for each would take five hundred
    assert all(isinstance(result, Unavailable) for result in results)
    other.execute("ROLLBACK")
    other.close()
    await store.close()


async def test_a_lock_while_a_failed_batch_is_run_one_by_one_refuses_what_is_left_after_one_wait(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    other = sqlite3.connect(tmp_path / "sessiond.db", isolation_level=None, check_same_thread=False)

    def count(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            begun.append(statement)
            if len(begun) == 4:  # the batch, the bad one, a good one; and now the next
                other.execute(statement)

    trace_statements(monkeypatch, count)
    store = await sqlite.open_store(url, role=Role.SERVER, busy_seconds=0.1)
    begun.clear()
    sessions = [samples.session(generation=2**70), *(samples.session() for _ in range(9))]

    results = await asyncio.gather(
        *(store.apply(samples.put(session)) for session in sessions), return_exceptions=True
    )

    assert len(begun) == 4
    assert [type(result) for result in results] == [OverflowError, type(None), *[Unavailable] * 8]
    other.close()
    await store.apply(samples.put(sessions[2]))
    await store.close()


async def test_an_operation_that_sqlite_refuses_fails_alone(store: Store) -> None:
    """An integer beyond 64 bits is found out by SQLite only, in the middle of the batch."""
    good = [samples.session() for _ in range(10)]
    bad = samples.session(generation=2**70)
    results = await asyncio.gather(
        *(store.apply(samples.put(session)) for session in [*good[:5], bad, *good[5:]]),
        return_exceptions=True,
    )
    assert [result for n, result in enumerate(results) if n != 5] == [None] * 10
    assert isinstance(results[5], OverflowError)
    assert await store.get_many([session.key for session in [*good, bad]]) == [*good, None]


async def test_two_that_put_one_new_session_are_told_apart(store: Store) -> None:
    session = samples.session()
    results = await asyncio.gather(
        *(store.apply(samples.put(session)) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), Conflict, Conflict]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SQLITE_FULL", "the disk is full"),
        ("SQLITE_IOERR_WRITE", "the disk fails"),
        ("SQLITE_BUSY_SNAPSHOT", "another process has locked the database"),
        ("SQLITE_CORRUPT_INDEX", "the database is damaged; restore it from a backup"),
        ("SQLITE_MISUSE", "SQLite reports SQLITE_MISUSE"),
    ],
)
def test_every_failure_of_sqlite_has_words(name: str, words: str) -> None:
    error = sqlite3.OperationalError("with data in it")
    error.sqlite_errorname = name
    assert meaning(error) == words
