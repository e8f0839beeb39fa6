"""A link to a server, on the test's own loop, that can hold back what goes through, as a half-open one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class HeldLink:
    """Carries every connection to *port* of loopback and back, in order."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, port: int) -> AsyncIterator[HeldLink]:
        """Relay to *port* until the end."""
        relay = cls(port)
        relay._server = await asyncio.start_server(relay._carry, "127.0.0.1", 0)
        try:
            yield relay
        finally:
            relay._server.close()
            relay.release()
            relay.cut()

    @property
    def port(self) -> int:
        """The port to connect to."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def hold(self) -> None:
        """Let nothing through any more, in either direction, and drop nothing."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything through that was held, and what comes."""
        self._flows.set()

    def cut(self) -> None:
        """End every connection and take no new one until `mend`."""
        self._refuses = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Take connections again."""
        self._refuses = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, far_writer}
        self._writers |= ends
        with contextlib.suppress(OSError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        for end in ends:
            end.transport.abort()
        self._writers -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
