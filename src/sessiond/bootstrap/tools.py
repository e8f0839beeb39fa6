"""Commands beside a running server: the same deployment, opened for one short piece of work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessiond.bootstrap.opening import Opened, open_deployment, without_password
from sessiond.config.loading import Loaded
from sessiond.domain.errors import Misconfigured
from sessiond.domain.startup import require_written_on
from sessiond.storage.engine import Role


@asynccontextmanager
async def tools(loaded: Loaded, *, begin: bool = False, recovers: bool = False) -> AsyncIterator[Opened]:
    """Open the deployment that *loaded* names beside whoever serves it; it is closed in the end.

    Where nothing is there yet it is refused, so that a mistyped directory is noticed, unless it may *begin* here; so is
    a database that is behind its witness, unless the work is what *recovers* it.
    """
    if loaded.settings.database_url.startswith("memory:"):
        raise Misconfigured("memory:// lives inside the server's process: no command can reach it")
    opened = await open_deployment(loaded, Role.TOOL, begin=begin)
    try:
        if not recovers:
            require_written_on(opened.start, database=without_password(opened.settings.database_url))
        yield opened
    finally:
        await opened.close()
