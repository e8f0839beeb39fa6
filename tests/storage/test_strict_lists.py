"""A list that memory answers is what a read would be: as new, and of one instant."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import msgspec
import pytest

from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Store, Touch
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite.reads import OfSubject, Reads
from sessiond.storage.open import open_store
from sessiond.testing import samples
from sessiond.testing.samples import ALICE, NOW
from tests.tracing import trace_statements

CHANGES = 200


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which is added what any connection selects from the sessions."""
    selected: list[str] = []

    def noted(statement: str) -> None:
        if "FROM sessions" in statement:
            selected.append(statement.partition(" FROM ")[0])

    trace_statements(monkeypatch, noted)
    return selected


@pytest.fixture
async def server(statements: list[str], tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/sessiond.db", role=Role.SERVER)
    yield store
    await store.close()


@pytest.fixture
async def command(server: Store, tmp_path: Path) -> AsyncIterator[Store]:
    """The same database as a command beside the server has it open."""
    store = await open_store(f"sqlite:///{tmp_path}/sessiond.db", role=Role.TOOL)
    yield store
    await store.close()


async def listed(store: Store) -> list[Session]:
    return list(await store.list_by_subject(DEFAULT_PROJECT, ALICE, live_at=NOW))


def sight(session: Session, at: Instant) -> Touch:
    return Touch(project=session.project, session=session.id, seen_at=at, generation=0)


async def test_sessions_that_are_known_are_listed_by_their_ids_alone(
    server: Store, statements: list[str]
) -> None:
    older, newer = samples.session(created_at=NOW), samples.session(created_at=NOW + 1)
    await server.apply(samples.put(older, newer))
    statements.clear()

    assert await listed(server) == [newer, older]
    assert statements == ["SELECT id"]


async def test_sessions_that_were_read_are_known(
    server: Store, command: Store, statements: list[str]
) -> None:
    session = samples.session()
    await command.apply(samples.put(session))
    assert await listed(server) == [session]
    statements.clear()

    assert await listed(server) == [session]
    assert statements == ["SELECT id"]


async def test_beside_sessions_that_have_ended_those_that_live_are_known(
    server: Store, statements: list[str]
) -> None:
    live, ended = samples.session(created_at=NOW), samples.session(created_at=NOW + 1)
    await server.apply(samples.put(live, ended))
    await server.revoke([samples.revocation(ended)])
    statements.clear()

    assert await listed(server) == [live]
    assert statements == ["SELECT id"] * 2


async def test_a_list_shows_what_others_did_and_what_the_server_did(server: Store, command: Store) -> None:
    revoked, touched, seen = (samples.session(created_at=NOW + n) for n in range(3))
    await server.apply(samples.put(revoked, touched, seen))
    assert await listed(server) == [seen, touched, revoked]

    await command.touch([sight(touched, NOW + 5)])
    await command.revoke([samples.revocation(revoked)])
    await server.touch([sight(seen, NOW + 6)])

    assert [each.last_seen_at for each in await listed(server)] == [NOW + 6, NOW + 5]
    assert await listed(server) == await listed(command)


async def test_a_commit_by_another_while_memory_is_asked_is_seen_as_a_whole(
    server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = samples.session(created_at=NOW + 1), samples.session()
    await server.apply(samples.put(stays, goes))
    ids_by_subject = Reads.ids_by_subject

    def overtaken(reads: Reads, wanted: OfSubject, *, live_at: Instant | None) -> Generator[SessionId]:
        with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
            database.execute("UPDATE sessions SET version = 2")
            database.execute("UPDATE sessions SET expires_at = ? WHERE id = ?", (NOW, goes.id))
        return ids_by_subject(reads, wanted, live_at=live_at)

    monkeypatch.setattr(Reads, "ids_by_subject", overtaken)

    assert await listed(server) == [msgspec.structs.replace(stays, version=2)]


async def test_what_changes_together_is_listed_together(server: Store) -> None:
    stays, comes_and_goes = samples.session(created_at=NOW + 1), samples.session()
    await server.apply(samples.put(stays, comes_and_goes))
    writing = True

    def change_to(version: int) -> Change:
        """Both are at *version*, but for the second in every other, where it is not there."""
        there = version % 2
        both = [msgspec.structs.replace(each, version=version) for each in (stays, comes_and_goes)]
        return Change(
            partition=samples.PARTITION,
            expects={stays.key: version - 1, comes_and_goes.key: 0 if there else version - 1},
            puts=both[: 1 + there],
            deletes=() if there else [comes_and_goes.key],
        )

    async def change_both() -> None:
        nonlocal writing
        for version in range(2, CHANGES):
            await server.apply(change_to(version))
        writing = False

    async def list_both() -> set[tuple[int, ...]]:
        seen = set()
        while writing:
            seen.add(tuple(each.version for each in await listed(server)))
            await asyncio.sleep(0)
        return seen

    _, seen = await asyncio.gather(change_both(), list_both())

    assert [versions for versions in seen if versions != (versions[0],) * (1 + versions[0] % 2)] == []
