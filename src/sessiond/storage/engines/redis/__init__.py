"""The Redis engine: `redis://host:port` for one server, `redis+cluster://host:port,host:port` for a cluster."""

from __future__ import annotations

import time
from datetime import timedelta

from sessiond.domain.freshness import STRICT
from sessiond.services.movable import MovableStore
from sessiond.storage.bounded_memory import BoundedMemory, Monotonic
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis.address import parse_url
from sessiond.storage.engines.redis.engine import RedisStore
from sessiond.storage.engines.redis.nodes import Nodes

SHARED = True


async def open_store(
    url: str,
    *,
    role: Role,
    cache_records: int = 100_000,
    max_staleness: timedelta = STRICT,
    monotonic: Monotonic = time.monotonic,
) -> MovableStore:
    """Open the store on the servers that *url* names.

    A server keeps standings in memory where *max_staleness*, measured by *monotonic*, allows that.

    Raises `Misconfigured` when the URL is none of ours, no server can be reached, or one may lose sessions by itself.
    """
    nodes = Nodes(parse_url(url))
    try:
        await nodes.open()
        memory = None
        if role is Role.SERVER and cache_records > 0 and max_staleness > STRICT:
            bound = max_staleness.total_seconds()
            memory = BoundedMemory(cache_records, bound=bound, tells_all=False, monotonic=monotonic)
        return RedisStore(nodes, memory)
    except BaseException:
        await nodes.close()
        raise
