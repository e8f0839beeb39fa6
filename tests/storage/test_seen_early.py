"""What the server wrote may be seen in the file before its own loop hears of it; memory answers nothing older then."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path

import pytest

from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.sessions import Session
from sessiond.services.ports import Change, Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from sessiond.testing import samples
from tests.server_process import WITHIN_SECONDS

Write = Callable[[Store, Session], Coroutine[None, None, object]]


def end_it(store: Store, session: Session) -> Coroutine[None, None, object]:
    return store.revoke([samples.revocation(session)])


def delete_its_subject(store: Store, _: Session) -> Coroutine[None, None, object]:
    return store.apply(samples.delete(samples.subject().key, 1))


@pytest.mark.parametrize(
    ("write", "seen"),
    [
        (end_it, "SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL"),
        (delete_its_subject, "SELECT count(*) = 0 FROM records WHERE kind = 'subject'"),
    ],
)
async def test_memory_is_not_behind_what_a_command_can_see(tmp_path: Path, write: Write, seen: str) -> None:
    path, session = tmp_path / "test.db", samples.session()
    store = await open_store(f"sqlite:///{path}", role=Role.SERVER)
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject(), session))
    await store.find_session(DEFAULT_PROJECT, session.id)
    assert store.peek_session(DEFAULT_PROJECT, session.id) is not None

    writing = await begun(store, write(store, session))
    with closing(sqlite3.connect(path)) as command:
        see(command, seen)  # the loop does not turn: nobody tells it what the batch came to

    found = store.peek_session(DEFAULT_PROJECT, session.id)
    assert found is None or found.session.revoked_at is not None
    await writing
    await store.close()


async def test_what_was_dropped_early_is_known_again_by_a_read(tmp_path: Path) -> None:
    path, session = tmp_path / "test.db", samples.session()
    store = await open_store(f"sqlite:///{path}", role=Role.SERVER)
    await store.apply(samples.put(samples.project(), samples.deployment()))
    await store.apply(samples.put(samples.subject(), session))
    await store.find_session(DEFAULT_PROJECT, session.id)
    successor = session.rotated(now=samples.NOW + 1, kid=session.kid)

    writing = await begun(store, store.apply(Change.replacing(session, successor)))
    with closing(sqlite3.connect(path)) as command:
        see(command, "SELECT count(*) FROM sessions WHERE generation = 1")
    assert store.peek_session(DEFAULT_PROJECT, session.id) is None
    found = await store.find_session(DEFAULT_PROJECT, session.id)
    await writing

    assert found is not None
    assert found.session == successor
    assert await store.find_session(DEFAULT_PROJECT, session.id) == found
    await store.close()


async def begun(store: Store, write: Coroutine[None, None, object]) -> asyncio.Future[object]:
    """Return once the writer has what *write* asks for."""
    writing = asyncio.ensure_future(write)
    await asyncio.sleep(0)
    while (writes := store.measures().writes) is not None and writes.waiting:  # noqa: ASYNC110  two turns
        await asyncio.sleep(0)
    return writing


def see(command: sqlite3.Connection, what: str) -> None:
    """Return once the file says so."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not command.execute(what).fetchone()[0]:
        assert time.monotonic() < deadline, "it was never written"
