"""Statements that the SQLite engine runs, told as they begin."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from sessiond.storage.engines.sqlite.database import DatabaseFile

FULL = 2
"""`PRAGMA synchronous`: every commit is synced."""


def trace_statements(monkeypatch: pytest.MonkeyPatch, seen: Callable[[str], object]) -> None:
    """Call *seen* with each statement, before it runs, of every connection that is made from now on."""
    connect = DatabaseFile.connect

    def traced(file: DatabaseFile, *, writing: bool, busy_seconds: float | None = None) -> sqlite3.Connection:
        database = connect(file, writing=writing, busy_seconds=busy_seconds)
        assert not writing or database.execute("PRAGMA synchronous").fetchone() == (FULL,)
        database.set_trace_callback(seen)
        return database

    monkeypatch.setattr(DatabaseFile, "connect", traced)
