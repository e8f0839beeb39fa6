"""Bringing a database to the newest schema, by the numbered files in `schema/`. What is not ours is left alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from sessiond.domain.errors import Misconfigured

APPLICATION_ID = 0x53657364  # "Sesd", in the file's header: file(1) and we know whose it is
LARGEST_CHECKED_AT_OPEN = 32 << 20  # bytes; a larger file would make the start slow

_SCHEMA = resources.files(__package__) / "schema"


def migrations() -> list[tuple[int, str]]:
    """Return the numbered migrations with their SQL, in order."""
    names = sorted(entry.name for entry in _SCHEMA.iterdir() if entry.name[:4].isdecimal())
    return [(int(name[:4]), (_SCHEMA / name).read_text()) for name in names]


def migrate(database: sqlite3.Connection, path: Path, *, may_upgrade: Callable[[], bool]) -> None:
    """Bring *database* to the newest schema, in one transaction.

    Raises `Misconfigured` when it is not ours or newer than we are, or when it is older and *may_upgrade* says that
    a server is running on it.
    """
    known = migrations()
    newest = known[-1][0]
    found = _version(database, path, newest)
    # Also here: a copy by VACUUM INTO has another mode. That it failed, SQLite says in its answer only.
    if database.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
        raise Misconfigured(
            f"the database {path} cannot have a write-ahead log: its disk fails, or is not local"
        )
    if found == newest:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        version = _version(database, path, newest)  # again: another process may have been faster
        if 0 < version < newest:
            _require_idle(path, may_upgrade)
        for number, script in known:
            if number > version:
                for statement in statements(script):
                    database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {newest}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def record_changes(database: sqlite3.Connection) -> None:
    """Make a command's connection write down what it changes, for the memory of a running server."""
    for statement in statements((_SCHEMA / "tool_changes.sql").read_text()):
        database.execute(statement)


def fence(*, up: bool) -> list[str]:
    """Return the statements that put up the fence around a database that was left, or take it down."""
    made = list(statements((_SCHEMA / "fence.sql").read_text()))
    if up:
        return made
    names = [name for statement in made for name in re.findall(r"TRIGGER IF NOT EXISTS (\w+)", statement)]
    return [f"DROP TRIGGER IF EXISTS {name}" for name in names]


def check_integrity(database: sqlite3.Connection, path: Path) -> None:
    """Raise `Misconfigured` if a small database is damaged; a large one would take too long to look at."""
    if path.stat().st_size > LARGEST_CHECKED_AT_OPEN:
        return
    (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise Misconfigured(f"the database {path} is damaged; restore it from a backup")


def statements(script: str) -> Iterator[str]:
    """Split *script* into its statements; a trigger's body stays together."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _require_idle(path: Path, may_upgrade: Callable[[], bool]) -> None:
    if not may_upgrade():
        raise Misconfigured(
            f"{path} is of an older version and in use; restart its server, which upgrades it"
        )


def _version(database: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the number of the last migration that ran here, 0 for an empty file."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    fresh = not application and not version and not tables
    if not fresh and application != APPLICATION_ID:
        raise Misconfigured(f"{path} is not a database of sessiond; name another file")
    if version > newest:
        raise Misconfigured(
            f"{path} was written by a newer sessiond (schema {version}, this one knows {newest}); upgrade sessiond"
        )
    return int(version)
