"""Where machines have their databases when they run on SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.invariants.engines import folders


@pytest.fixture(scope="session", autouse=True)
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give machines files of SQLite where `--engine` names it."""
    if request.config.getoption("--engine") == "sqlite":
        folders.append(tmp_path_factory.mktemp("machines"))
    yield
    folders.clear()
