"""A link to a server, on the test's own loop, that can hold back what goes through, as a half-open one does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class HeldLink:
    """Carries every connection to *port* of loopback and back, in order."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._requests, self._answers, self._told = gates = [asyncio.Event() for _ in range(3)]
        for gate in gates:
            gate.set()
        self._refuses = False
        self.held = 0
        """How many pieces wait to be let through."""
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
        self._requests.clear()
        self._answers.clear()

    def hold_requests(self) -> None:
        """Let nothing through to the server any more; its answers pass."""
        self._requests.clear()

    def hold_what_is_told(self) -> None:
        """Let no answer through any more on connections on which somebody listens; others go on."""
        self._told.clear()

    def pass_held(self) -> None:
        """Let the requests through that are held now, and no more."""
        self._requests.set()
        self._requests.clear()

    def release(self) -> None:
        """Let everything through that was held, and what comes."""
        for gate in (self._requests, self._answers, self._told):
            gate.set()

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
        listens = asyncio.Event()
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._ask(reader, far_writer, listens), self._answer(far_reader, writer, listens)
            )
        for end in ends:
            end.transport.abort()
        self._writers -= ends

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listens: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if b"LISTEN" in data or b"SUBSCRIBE" in data:
                listens.set()
            await self._passed(self._requests)
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listens: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            await self._passed(self._answers)
            if listens.is_set():
                await self._passed(self._told)
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def _passed(self, gate: asyncio.Event) -> None:
        if gate.is_set():
            return
        self.held += 1
        await gate.wait()
        self.held -= 1
