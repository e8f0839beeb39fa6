"""Fixtures for every test: a set clock, counted entropy, a real server process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess

_FAST_DIALECT = "test_native.py"
_LONG_MACHINES = ("test_lineage.py", "test_engines_agree.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test` what takes long: dialects over TCP but the native one, and the long machines."""
    for item in items:
        over_tcp = item.path.parent.name == "dialects" and item.path.name != _FAST_DIALECT
        if over_tcp or item.path.name in _LONG_MACHINES:
            item.add_marker(pytest.mark.slow)


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
