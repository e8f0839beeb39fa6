"""Opening a store: by its URL, one server at a time, and never a file that is not ours."""

import contextlib
import os
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import migrations, replace_store
from sessiond.storage.open import known_engines, open_store
from sessiond.testing import samples


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.mark.parametrize("url", ["", "sqlite", "mysql://host/db", "sqlite:/x", "/var/lib/sessiond.db"])
async def test_an_unknown_scheme_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"memory://.*sqlite://"):
        await open_store(url, role=Role.SERVER)


def test_every_engine_beside_this_package_can_be_named() -> None:
    assert {"memory", "sqlite"} <= set(known_engines())


async def test_an_engine_whose_package_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("sessiond.storage.engines.redis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hiredis", None)

    with pytest.raises(Misconfigured, match=r"package hiredis.*sessiond\[redis\]"):
        await open_store("redis://127.0.0.1", role=Role.SERVER)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://data.db", "sqlite:///folder/"])
async def test_a_sqlite_url_without_a_file_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="sqlite:///relative/path"):
        await open_store(url, role=Role.SERVER)


async def test_a_namespace_is_refused_for_what_is_one_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="namespace"):
        await open_store(url_of(tmp_path / "x.db") + "?namespace=a", role=Role.SERVER)
    with pytest.raises(Misconfigured, match="memory://"):
        await open_store("memory://?namespace=a", role=Role.SERVER)


async def test_a_relative_path_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = await open_store("sqlite:///data/x.db", role=Role.SERVER)
    await store.close()
    assert (tmp_path / "data" / "x.db").is_file()


async def test_every_file_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = await open_store(url_of(tmp_path / "data" / "x.db"), role=Role.SERVER)
        await store.apply(samples.put(samples.subject()))
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert files == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm", "x.db.lock"), 0o600)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


async def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be made"):
        await open_store(url_of(tmp_path / "a" / "b" / "x.db"), role=Role.SERVER)
    with pytest.raises(Misconfigured, match="not a file"):
        await open_store(url_of(tmp_path), role=Role.SERVER)


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    url, alice = url_of(tmp_path / "x.db"), samples.subject()
    store = await open_store(url, role=Role.SERVER)
    await store.apply(samples.put(alice, events=(samples.event(),)))
    await store.close()
    store = await open_store(url, role=Role.SERVER)
    assert await store.get(alice.key) == alice
    assert await store.newest_event() == 1
    await store.close()


async def test_a_copy_by_vacuum_into_opens_as_the_database_does(tmp_path: Path) -> None:
    alice = samples.subject()
    store = await open_store(url_of(tmp_path / "x.db"), role=Role.SERVER)
    await store.apply(samples.put(alice))
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    store = await open_store(url_of(tmp_path / "copy.db"), role=Role.SERVER)
    assert await store.get(alice.key) == alice
    await store.close()


async def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    url = url_of(tmp_path / "x.db")
    first = await open_store(url, role=Role.SERVER)
    with pytest.raises(Misconfigured, match="another server is already running"):
        await open_store(url, role=Role.SERVER)
    command = await open_store(url, role=Role.TOOL)
    await command.close()
    await first.apply(samples.put(samples.subject()))
    await first.close()
    second = await open_store(url, role=Role.SERVER)
    await second.close()


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A symbolic link in another folder to the database `x.db`, which is not there yet."""
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "y.db"
    link.symlink_to(tmp_path / "x.db")
    return link


def lead(link: Path, target: Path) -> None:
    link.unlink()
    link.symlink_to(target)


async def test_links_in_a_circle_are_no_database(linked: Path) -> None:
    lead(linked, linked)
    with pytest.raises(Misconfigured, match="not a file"):
        await open_store(url_of(linked), role=Role.SERVER)


async def test_two_names_of_one_database_have_one_lock(tmp_path: Path, linked: Path) -> None:
    first = await open_store(url_of(linked), role=Role.SERVER)
    with pytest.raises(Misconfigured, match="another server is already running"):
        await open_store(url_of(tmp_path / "x.db"), role=Role.SERVER)
    await first.close()
    first = await open_store(url_of(tmp_path / "x.db"), role=Role.SERVER)
    with pytest.raises(Misconfigured, match="another server is already running"):
        await open_store(url_of(linked), role=Role.SERVER)
    with pytest.raises(Misconfigured, match="another server is already running"):
        replace_store(url_of(linked), lambda _: None, aside="aside")
    await first.close()


async def test_a_command_by_another_name_of_the_database_is_noticed_by_the_server(
    tmp_path: Path, linked: Path
) -> None:
    server = await open_store(url_of(linked), role=Role.SERVER)
    session = samples.session()
    await server.apply(samples.put(session, samples.subject()))
    assert await server.find_session(session.project, session.id) is not None
    command = await open_store(url_of(tmp_path / "x.db"), role=Role.TOOL)

    await command.revoke([samples.revocation(session)])

    standing = await server.find_session(session.project, session.id)
    assert standing is not None
    assert standing.session.revoked_at is not None
    await command.close()
    await server.close()


async def test_a_link_that_leads_elsewhere_meanwhile_is_a_database_that_was_replaced(
    tmp_path: Path, linked: Path
) -> None:
    other = await open_store(url_of(tmp_path / "other.db"), role=Role.SERVER)
    await other.close()
    store = await open_store(url_of(linked), role=Role.SERVER)
    lead(linked, tmp_path / "other.db")

    with pytest.raises(Unavailable, match="replaced"):
        await store.apply(samples.put(samples.subject()))

    await store.close()


async def test_a_server_whose_lock_was_removed_answers_no_more(tmp_path: Path) -> None:
    """A second server may have begun, whose writes the memory of the first would not notice."""
    url, session = url_of(tmp_path / "x.db"), samples.session()
    first = await open_store(url, role=Role.SERVER)
    first.check()
    (tmp_path / "x.db.lock").unlink()
    second = await open_store(url, role=Role.SERVER)

    with pytest.raises(Unavailable, match="replaced or removed"):
        first.check()

    with pytest.raises(Unavailable):
        await first.find_session(session.project, session.id)
    second.check()
    await first.close()
    await second.close()


async def test_a_hard_link_to_the_database_is_refused(tmp_path: Path) -> None:
    store = await open_store(url_of(tmp_path / "x.db"), role=Role.SERVER)
    await store.close()
    (tmp_path / "y.db").hardlink_to(tmp_path / "x.db")

    for role in Role:
        with pytest.raises(Misconfigured, match="second name"):
            await open_store(url_of(tmp_path / "y.db"), role=role)


async def test_a_refused_server_leaves_the_lock_to_others(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("not a database " * 100)
    for _ in range(2):
        with pytest.raises(Misconfigured, match="damaged"):
            await open_store(url_of(path), role=Role.SERVER)
    path.unlink()
    store = await open_store(url_of(path), role=Role.SERVER)
    await store.close()


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(Misconfigured, match="is not a database of sessiond"):
        await open_store(url_of(path), role=Role.SERVER)
    assert path.read_bytes() == content


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = await open_store(url_of(path), role=Role.SERVER)
    await store.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()
    for role in Role:
        with pytest.raises(Misconfigured, match=r"newer sessiond \(schema 999.*upgrade sessiond"):
            await open_store(url_of(path), role=role)


async def test_a_damaged_database_is_refused_by_the_server(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    store = await open_store(url_of(path), role=Role.SERVER)
    for n in range(200):
        await store.apply(samples.put(samples.tally(b"%d" % n, a=1)))
    await store.close()
    content = bytearray(path.read_bytes())
    content[-3 * 4096 :] = b"\xa5" * (3 * 4096)
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="damaged; restore it from a backup"):
        await open_store(url_of(path), role=Role.SERVER)


async def test_migrations_run_once_each_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, alice = tmp_path / "x.db", samples.subject()
    store = await open_store(url_of(path), role=Role.SERVER)
    await store.apply(samples.put(alice))
    await store.close()
    known = migrations.migrations()
    following = known[-1][0] + 1
    newer = [*known, (following, "CREATE TABLE two (x);\nCREATE TABLE three (x);\n")]
    monkeypatch.setattr(migrations, "migrations", lambda: newer)
    for _ in range(2):
        store = await open_store(url_of(path), role=Role.SERVER)
        assert await store.get(alice.key) == alice
        await store.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (following,)
    assert database.execute("SELECT count(*) FROM three").fetchone() == (0,)
    database.close()


async def test_a_command_does_not_upgrade_under_a_running_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(tmp_path / "x.db")
    server = await open_store(url, role=Role.SERVER)
    newer = [*migrations.migrations(), (99, "CREATE TABLE two (x);\n")]
    monkeypatch.setattr(migrations, "migrations", lambda: newer)
    with pytest.raises(Misconfigured, match="older version and in use"):
        await open_store(url, role=Role.TOOL)
    await server.close()
    command = await open_store(url, role=Role.TOOL)
    await command.close()


async def test_a_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.db"
    store = await open_store(url_of(path), role=Role.SERVER)
    await store.close()
    broken = [*migrations.migrations(), (99, "CREATE TABLE two (x);\nCREATE TABLE two (x);\n")]
    monkeypatch.setattr(migrations, "migrations", lambda: broken)
    with pytest.raises(Misconfigured, match="cannot be opened"):
        await open_store(url_of(path), role=Role.SERVER)
    monkeypatch.undo()
    store = await open_store(url_of(path), role=Role.SERVER)
    await store.close()


async def test_events_keep_their_sequences_when_a_database_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until schema 3 an event's key was one rising number, which a purge did not take back."""
    all_of_them = migrations.migrations()
    url = f"sqlite:///{tmp_path}/sessiond.db"
    monkeypatch.setattr(migrations, "migrations", lambda: all_of_them[:2])
    former = await open_store(url, role=Role.SERVER)
    await former.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        row = (bytes(16), "cli")
        for at in (5, 6, 7):
            database.execute(
                "INSERT INTO events (type, at, partition, project, by) VALUES ('pin.set', ?, 9, ?, ?)",
                (at, *row),
            )
        database.execute("DELETE FROM events WHERE at = 7")
    monkeypatch.undo()

    store = await open_store(url, role=Role.SERVER)

    assert [(sequence, event.at) for sequence, event in await store.events(after=0, limit=9)] == [
        (1, 5),
        (2, 6),
    ]
    assert await store.newest_event() == 3
    await store.close()
