"""The Redis engine: `redis://host:port` for one server, `redis+cluster://host:port,host:port` for a cluster."""

from __future__ import annotations

from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.redis.address import parse_url
from sessiond.storage.engines.redis.engine import RedisStore
from sessiond.storage.engines.redis.nodes import Nodes

SHARED = True


async def open_store(url: str, *, role: Role, cache_records: int = 100_000) -> Store:  # noqa: ARG001  nothing is cached
    """Open the store on the servers that *url* names.

    Raises `Misconfigured` when the URL is none of ours, no server can be reached, or one may lose sessions by itself.
    """
    nodes = Nodes(parse_url(url))
    try:
        await nodes.open()
        return RedisStore(nodes)
    except BaseException:
        await nodes.close()
        raise
