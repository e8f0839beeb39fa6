"""The engine under a machine: memory, or the one that `--engine` names."""

from __future__ import annotations

import itertools
from pathlib import Path

from sessiond.services.movable import MovableStore
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.server_process import databases

folders: list[Path] = []
"""Where `--engine=sqlite` keeps the machines' databases."""

_numbers = itertools.count(1)


async def empty_store() -> MovableStore:
    """Return a store that holds nothing yet."""
    return await open_store(_url(), role=Role.SERVER)


def _url() -> str:
    if databases:
        return databases[-1]()
    return f"sqlite:///{folders[-1] / str(next(_numbers))}.db" if folders else "memory://"
