"""Moving a deployment from one database to another: both are opened as they are, without keys, secrets or settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sessiond.bootstrap.machine import SystemClock
from sessiond.domain.errors import Misconfigured
from sessiond.services.moving import Mover, Progress
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store


@asynccontextmanager
async def moving(source: str, target: str, tell: Callable[[Progress], None]) -> AsyncIterator[Mover]:
    """Open the databases at the URLs *source*, beside whoever serves it, and *target*, which nobody may serve yet.

    Raises `Misconfigured` where one of them cannot be opened, or both are the same.
    """
    if source == target:
        raise Misconfigured("--from and --to name the same database")
    if any(url.startswith("memory:") for url in (source, target)):
        raise Misconfigured(
            "memory:// lives inside the server's process: it can be moved neither from nor to"
        )
    left = await open_store(source, role=Role.TOOL)
    try:
        filled = await open_store(target, role=Role.SERVER, cache_records=0)
        try:
            yield Mover(left, filled, SystemClock(), tell)
        finally:
            await filled.close()
    finally:
        await left.close()
