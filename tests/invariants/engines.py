"""The engine under a machine: memory, or the one that `--engine` names."""

from __future__ import annotations

from sessiond.services.movable import MovableStore
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.server_process import databases


async def empty_store() -> MovableStore:
    """Return a store that holds nothing yet."""
    return await open_store(databases[-1]() if databases else "memory://", role=Role.SERVER)
