"""Fixtures for every test: a set clock, counted entropy, a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server of its own for each test module, on a free port, with SQLite in a fresh data directory."""
    with ServerProcess.started(tmp_path_factory.mktemp("server")) as process:
        yield process


@pytest.fixture
def fresh_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A real server for one test alone."""
    with ServerProcess.started(tmp_path) as process:
        yield process
