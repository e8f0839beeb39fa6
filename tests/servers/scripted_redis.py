"""Servers that speak Redis' protocol and do as a test says: for what a real one does too seldom, or not to order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import hiredis

Command = list[bytes]
Told = bytes | None
"""What goes over the wire as the answer; None: the connection is closed instead."""

_ANSWERED = {b"EVALSHA", b"HMGET", b"MGET"}
INFO = "redis_version:{}\r\ncluster_enabled:{}\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n"


class ScriptedRedis:
    """One server. What a store asks at its start is answered; scripts are called on *on_script*."""

    def __init__(self, *, clustered: bool) -> None:
        self._clustered = int(clustered)
        self.version = "7.2.0"
        self._server: asyncio.Server | None = None
        self.commands: list[Command] = []
        """What was asked beside the greetings, in order."""
        self.slots_at: int | None = None
        """The port of the server that has all slots, this one's if None."""
        self.synced: Told = array(b":1\r\n", b":0\r\n")
        """Answers WAITAOF: whether its own disk has what was written, and how many replicas' have."""
        self.on_script: Callable[[Command, bool], Told] = lambda _command, _asked: array()
        """Answers the call of a script or a read; told whether ASKING came just before it on the same connection."""

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, *, clustered: bool = False) -> AsyncIterator[ScriptedRedis]:
        """Serve on a free port of loopback until the end."""
        server = cls(clustered=clustered)
        server._server = await asyncio.start_server(server._serve, "127.0.0.1", 0)
        try:
            yield server
        finally:
            server._server.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def calls(self, name: bytes) -> int:
        """Return how often a command was asked for, or a script by its digest."""
        return sum(name in command[:2] for command in self.commands)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        asked = False
        while data := await reader.read(65536):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                told = self._answer(command, asked=asked)
                if told is None:
                    writer.transport.abort()
                    return
                asked = command[0] == b"ASKING"
                writer.write(told)
        writer.close()

    def _answer(self, command: Command, *, asked: bool) -> Told:
        node = array(bulk(b"127.0.0.1"), b":%d\r\n" % (self.slots_at or self.port), bulk(b"id"))
        greetings = {
            b"INFO": bulk(INFO.format(self.version, self._clustered).encode()),
            b"ROLE": array(bulk(b"master"), b":0\r\n", array()),
            b"CONFIG": array(bulk(b"appendfsync"), bulk(b"always")),
            b"SCRIPT": bulk(b"0" * 40),
            b"CLIENT": b"+OK\r\n",
            b"CLUSTER": array(array(b":0\r\n", b":16383\r\n", node)),
        }
        told = greetings.get(command[0])
        if told is not None:
            return told
        self.commands.append(command)
        if command[0] == b"WAITAOF":
            return self.synced
        return self.on_script(command, asked) if command[0] in _ANSWERED else b"+OK\r\n"


def bulk(value: bytes) -> bytes:
    """Return a string as it is sent."""
    return b"$%d\r\n%s\r\n" % (len(value), value)


def array(*members: bytes) -> bytes:
    """Return a list of answers as it is sent."""
    return b"*%d\r\n%s" % (len(members), b"".join(members))


def error(words: str) -> bytes:
    """Return a refusal as it is sent."""
    return b"-%s\r\n" % words.encode()
