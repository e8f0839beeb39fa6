"""The Redis engine under the scheme of a cluster, `redis+cluster://host:port,host:port`."""

from sessiond.storage.engines.redis import SHARED, open_store

__all__ = ["SHARED", "open_store"]
