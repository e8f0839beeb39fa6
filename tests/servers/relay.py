"""A relay before a server that counts round trips: how often something was sent after something had been answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from urllib.parse import urlsplit

_CHUNK = 1 << 16


class Relay:
    """Passes everything on, both ways. *url* is the server's, by way of the relay."""

    def __init__(self, url: str) -> None:
        self._given = urlsplit(url)
        self._turns = 0
        self.url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, url: str) -> AsyncIterator[Relay]:
        """Stand before the server that *url* names, within the running loop."""
        relay = cls(url)
        server = await asyncio.start_server(relay._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user, at, _ = relay._given.netloc.rpartition("@")
        relay.url = relay._given._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        try:
            yield relay
        finally:
            server.close()

    async def turns_of(self, work: Awaitable[object]) -> int:
        """Return how many round trips *work* took, over all connections."""
        before = self._turns
        await work
        return self._turns - before

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(self._given.hostname, self._given.port)
        passing = _Passing(self)
        await asyncio.gather(passing.on(reader, requests, asks=True), passing.on(answers, writer, asks=False))

    def count(self) -> None:
        """Count a round trip."""
        self._turns += 1


class _Passing:
    """One connection, and whether the last that passed was an answer."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._answered = True

    async def on(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, asks: bool) -> None:
        """Pass on until *source* ends."""
        with contextlib.suppress(ConnectionError), contextlib.closing(to):
            while chunk := await source.read(_CHUNK):
                if asks and self._answered:
                    self._relay.count()
                self._answered = not asks
                to.write(chunk)
