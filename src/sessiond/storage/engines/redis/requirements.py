"""What a Redis server must be before sessions are kept in it, as its INFO tells."""

from __future__ import annotations

import re

from sessiond.storage.engines.redis.address import Address, Target

OLDEST = (6, 2)  # ZADD LT
OLDEST_SYNCED = (7, 2)  # WAITAOF
_VERSION = re.compile(r"(\d+)\.(\d+)")


def info_from(text: bytes) -> dict[str, str]:
    """Return the fields of an INFO answer."""
    lines = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon}


def version_of(info: dict[str, str]) -> tuple[int, int]:
    """Return the version of Redis that the server is, or is compatible with."""
    match = _VERSION.match(info.get("redis_version", ""))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def fault_of(info: dict[str, str], target: Target, address: Address) -> str | None:  # noqa: PLR0911  one per fault
    """Return why no sessions may be kept in this server, in one sentence, or None."""
    if version_of(info) < OLDEST:
        return f"the server at {address} is older than Redis 6.2"
    if target.synced and version_of(info) < OLDEST_SYNCED:
        return f"the server at {address} is older than Redis 7.2, which synced=on in the database URL needs"
    clustered = info.get("cluster_enabled") == "1"
    if clustered and not target.cluster:
        return (
            f"the server at {address} is a node of a Redis Cluster: use redis+cluster:// in the database URL"
        )
    if target.cluster and not clustered:
        return f"the server at {address} is no node of a Redis Cluster: use redis:// in the database URL"
    if info.get("loading", "0") != "0":
        return f"the server at {address} is still loading its data"
    if info.get("role") == "slave" and not target.cluster:
        return f"the server at {address} is a replica; name its master"
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction" and "eviction" not in target.allowed:
        return (
            f"the server at {address} may evict sessions (maxmemory-policy {policy}): set it to noeviction, or add "
            "allow=eviction to the database URL"
        )
    if info.get("aof_enabled") != "1" and "no-aof" not in target.allowed:
        return (
            f"the server at {address} keeps no append-only file, so that a restart loses what was acknowledged: set "
            "appendonly to yes, or add allow=no-aof to the database URL"
        )
    return None
