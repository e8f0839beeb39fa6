"""Throw-away Redis servers on free ports of loopback: a single one, and a cluster of six, each ended by its own id."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import redis

from tests.server_process import WITHIN_SECONDS, free_port

INSTALL = "apt-get install --no-install-recommends redis-server"
REPLACED_SOON_MS = 1000
"""For how long a master of a cluster must be silent to be replaced, where a test wants it replaced."""
_NEVER_REPLACED_MS = WITHIN_SECONDS * 1000
SLOTS = 16384

_numbers = itertools.count(1)


def program() -> str:
    """Return the path of the server."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise AssertionError(f"Redis is not on this machine: {INSTALL}")
    return found


class RedisServer:
    """One server with an append-only file."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / f"{self.port}.log"
        # A kill takes nothing that was written, synced or not; who syncs waits for whatever else the disk does.
        self._settings = {"appendonly": "yes", "appendfsync": "no", "save": ""} | settings
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def started(cls, **settings: str) -> Iterator[RedisServer]:
        """Start a server, and remove it in the end."""
        with tempfile.TemporaryDirectory(prefix="sessiond-redis-", ignore_cleanup_errors=True) as name:
            server = cls(Path(name), **settings)
            try:
                server.start()
                yield server
            finally:
                server.kill()

    @property
    def client(self) -> redis.Redis:
        """A client of another make, to look at the server and to change it."""
        password = self._settings.get("requirepass")
        return redis.Redis(port=self.port, password=password, socket_timeout=WITHIN_SECONDS)

    def ask(self, *words: str | int | bytes) -> Any:  # noqa: ANN401  whatever Redis answers
        """Return the answer to a command."""
        with self.client as client:
            return client.execute_command(*words)

    def start(self) -> None:
        """Start it and wait until it has loaded its data."""
        self.spawn()
        self.wait_until_ready()

    def spawn(self) -> None:
        """Start it."""
        data = self.folder / str(self.port)
        data.mkdir(exist_ok=True)
        settings = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(data)} | self._settings
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([program(), *options], stdout=log, stderr=log)

    def wait_until_ready(self) -> None:
        """Return once it answers and has loaded its data."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError), self.client as client:
                if client.ping():
                    return
            time.sleep(0.02)
        raise AssertionError(f"Redis did not start:\n{self.log_path.read_text()}")

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.resume()
            self.process.kill()
            self.process.wait(timeout=WITHIN_SECONDS)

    def pause(self) -> None:
        """Let it hang, as behind a broken network."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def url(self, namespace: str | None = None, **parameters: str) -> str:
        """Return the URL of a namespace, one of its own where none is named."""
        return f"redis://127.0.0.1:{self.port}?{_query(namespace, parameters)}"

    def _signal(self, what: signal.Signals) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(what)


class RedisCluster:
    """Three masters, each with a replica, which takes its place once a test lets it: a busy machine does not."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [
            RedisServer(
                folder,
                **{
                    "cluster-enabled": "yes",
                    "cluster-port": str(free_port()),
                    # Until it is whole: with a longer one they are slower to find each other.
                    "cluster-node-timeout": str(REPLACED_SOON_MS),
                    "repl-diskless-sync-delay": "0",
                },
            )
            for _ in range(6)
        ]

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator[RedisCluster]:
        """Start a cluster, and remove it in the end."""
        with tempfile.TemporaryDirectory(prefix="sessiond-redis-", ignore_cleanup_errors=True) as name:
            cluster = cls(Path(name))
            try:
                for node in cluster.nodes:
                    node.spawn()
                for node in cluster.nodes:
                    node.wait_until_ready()
                cluster._join()
                cluster.let_masters_be_replaced(after_ms=_NEVER_REPLACED_MS)
                yield cluster
            finally:
                for node in cluster.nodes:
                    node.kill()

    def url(self, namespace: str | None = None, **parameters: str) -> str:
        """Return the URL of a namespace, one of its own where none is named."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}?{_query(namespace, parameters)}"

    def masters(self) -> list[RedisServer]:
        """Return the nodes that have slots now."""
        return [node for node in self.nodes if _role(node) == "master" and self._slots_of(node)]

    def master_of(self, slot: int) -> RedisServer:
        """Return the node that has *slot* now."""
        return next(node for node in self.masters() if any(a <= slot <= b for a, b in self._slots_of(node)))

    def let_masters_be_replaced(self, *, after_ms: int = REPLACED_SOON_MS) -> None:
        """Let a replica take the place of a master that has been silent for so long, until `mend`."""
        for node in self.nodes:
            node.ask("CONFIG", "SET", "cluster-node-timeout", after_ms)

    def mend(self) -> None:
        """Start what was killed, resume what was paused, wait until it is whole, and let it stay so."""
        for node in self.nodes:
            node.resume()
            if node.process is None or node.process.poll() is not None:
                node.spawn()
        self.wait_until_whole()
        self.let_masters_be_replaced(after_ms=_NEVER_REPLACED_MS)

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Return the nodes that follow *master* now."""
        ports = {int(each[1]) for each in master.ask("ROLE")[2]}
        return [node for node in self.nodes if node.port in ports]

    def until_master(self, heir: RedisServer) -> None:
        """Return once *heir*, that was a replica, has slots of its own."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while not (_role(heir) == "master" and self._slots_of(heir)):
            assert time.monotonic() < deadline, "no replica took the place of its master"
            time.sleep(0.02)

    def wait_until_whole(self) -> None:
        """Return once every slot has a master, every master a replica that follows, and all agree who has what."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError):
                # A master that was paused takes itself for one until it has had its turn.
                agree = len({_shared_out(_text(node.ask("CLUSTER", "NODES"))) for node in self.nodes}) == 1
                if agree and all(self._is_whole(node) for node in self.nodes):
                    return
            time.sleep(0.05)
        told = [_text(node.ask("CLUSTER", "NODES")) for node in self.nodes]
        raise AssertionError("the cluster did not become whole:\n" + "\n".join(told))

    def move(self, slot: int, target: RedisServer, *, between_keys: Sequence[float] = ()) -> None:
        """Move *slot* to *target*, key by key, as `redis-cli --cluster reshard` does."""
        source, names = self.begin_move(slot, target)
        pauses = iter(between_keys)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            time.sleep(next(pauses, 0.0))
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, WITHIN_SECONDS * 1000, "KEYS", *keys)
        for node in (target, source, *self.masters()):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])

    def begin_move(self, slot: int, target: RedisServer) -> tuple[RedisServer, dict[int, str]]:
        """Let *slot* lie between its master, which is returned, and *target*; the names of all nodes come by port."""
        source = self.master_of(slot)
        names = {node.port: _text(node.ask("CLUSTER", "MYID")) for node in self.nodes}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        return source, names

    def _join(self) -> None:
        masters, replicas = self.nodes[:3], self.nodes[3:]
        for n, node in enumerate(masters):
            slots = n * SLOTS // 3, (n + 1) * SLOTS // 3 - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
        for n, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for node in self.nodes[1:]:
            first = self.nodes[0]
            bus = first._settings["cluster-port"]  # noqa: SLF001  its own
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
        for master, replica in zip(masters, replicas, strict=True):
            name = master.ask("CLUSTER", "MYID").decode()
            self._until_known(replica, name)
            replica.ask("CLUSTER", "REPLICATE", name)
        self.wait_until_whole()

    def _until_known(self, node: RedisServer, name: str) -> None:
        deadline = time.monotonic() + WITHIN_SECONDS
        while name not in _text(node.ask("CLUSTER", "NODES")):
            assert time.monotonic() < deadline, "a node did not join the cluster"
            time.sleep(0.02)

    def _is_whole(self, node: RedisServer) -> bool:
        state = _text(node.ask("CLUSTER", "INFO"))
        if "cluster_state:ok" not in state or "cluster_slots_ok:16384" not in state:
            return False
        if len(_text(node.ask("CLUSTER", "NODES")).splitlines()) < len(self.nodes):
            return False
        role: list[Any] = node.ask("ROLE")
        if role[0] == b"master":
            return bool(role[2]) or not self._slots_of(node)
        return bool(role[3] == b"connected")

    def _slots_of(self, node: RedisServer) -> list[tuple[int, int]]:
        lines = _text(node.ask("CLUSTER", "NODES")).splitlines()
        mine = next(line for line in lines if "myself" in line).split(" ")[8:]
        ranges = [part.split("-") for part in mine if not part.startswith("[")]
        return [(int(each[0]), int(each[-1])) for each in ranges]


def _shared_out(told: str) -> frozenset[tuple[str, ...]]:
    """Return which node has which slots, as `CLUSTER NODES` has *told*."""
    rows = [line.split(" ") for line in told.splitlines()]
    return frozenset((row[0], *(part for part in row[8:] if not part.startswith("["))) for row in rows)


def _role(node: RedisServer) -> str:
    with contextlib.suppress(redis.RedisError):
        return _text(node.ask("ROLE")[0])
    return "none"


def _text(answer: object) -> str:
    return cast("bytes", answer).decode()


def _query(namespace: str | None, parameters: dict[str, str]) -> str:
    chosen = {"namespace": namespace or f"n{os.getpid()}-{next(_numbers)}", **parameters}
    return "&".join(f"{name}={value}" for name, value in chosen.items())
