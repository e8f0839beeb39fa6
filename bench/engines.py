"""The engines that the bench runs on: thrown-away servers as durable as production has them, and what they take."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from bench.processes import cpu_seconds
from tests.servers.postgresql import PostgresqlServer
from tests.servers.redis import RedisCluster, RedisServer

_POSTGRESQL = {"shared_buffers": "512MB", "max_wal_size": "4GB", "autovacuum_naptime": "60s"}


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """A running engine with an empty database at *url*. *stored* is the bytes that it keeps, wherever it keeps them."""

    url: str
    pids: tuple[int, ...]
    stored: Callable[[], int]

    def cpu_seconds(self) -> float:
        """Return the processor time that its processes have taken; 0 where it lives in ours."""
        return sum(map(cpu_seconds, self.pids))


@contextlib.contextmanager
def sqlite() -> Iterator[Engine]:
    """Name a file; its log, which is as long whatever it holds, does not count."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        file = Path(name) / "sessiond.db"
        yield Engine(url=f"sqlite:///{file}", pids=(), stored=lambda: file.stat().st_size)


@contextlib.contextmanager
def postgresql() -> Iterator[Engine]:
    """Start one primary, with `fsync` and `synchronous_commit` on."""
    with PostgresqlServer.started(settings=_POSTGRESQL) as server:

        def stored() -> int:
            return int(server.run_sql("SELECT pg_database_size(current_database())"))

        yield Engine(url=server.url(), pids=_pids(server), stored=stored)


@contextlib.contextmanager
def redis_cluster() -> Iterator[Engine]:
    """Start three masters with a replica each, every write synced; what counts is the memory of the masters."""
    with RedisCluster.started() as cluster:
        for node in cluster.nodes:
            node.ask("CONFIG", "SET", "appendfsync", "always")
        masters = cluster.masters()

        def stored() -> int:
            return sum(int(node.client.info("memory")["used_memory"]) for node in masters)

        yield Engine(url=cluster.url(), pids=_pids(*cluster.nodes), stored=stored)


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
    "SQLite": sqlite,
    "PostgreSQL": postgresql,
    "Redis Cluster": redis_cluster,
}


def _pids(*servers: PostgresqlServer | RedisServer) -> tuple[int, ...]:
    return tuple(server.process.pid for server in servers if server.process is not None)
