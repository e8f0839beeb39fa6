"""The Redis engine under the scheme of a cluster, `redis+cluster://host:port,host:port`."""

from sessiond.storage.engines.redis import open_store

__all__ = ["open_store"]
