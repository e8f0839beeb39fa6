"""Commands beside a running server: the same deployment, opened for one short piece of work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.config.loading import Loaded
from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import Role


@asynccontextmanager
async def tools(loaded: Loaded, *, begin: bool = False) -> AsyncIterator[Opened]:
    """Open the deployment that *loaded* names beside whoever serves it; it is closed in the end.

    Where nothing is there yet it is refused, so that a mistyped directory is noticed, unless it may *begin* here.
    """
    if loaded.settings.database_url.startswith("memory:"):
        raise Misconfigured("memory:// lives inside the server's process: no command can reach it")
    opened = await open_deployment(loaded, Role.TOOL, begin=begin)
    try:
        yield opened
    finally:
        await opened.close()
