"""A network between a node and its database that a test may cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.server_process import free_port

_CHUNK = 65536


class Proxy:
    """Passes on what comes to its port, on a thread of its own."""

    def __init__(self, target: int, listener: socket.socket | None = None) -> None:
        self._listener = listener or socket.create_server(("127.0.0.1", free_port()))
        self.host, self.port = self._listener.getsockname()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._pairs: set[asyncio.StreamWriter] = set()

    @classmethod
    @contextlib.contextmanager
    def before(cls, port: int, listener: socket.socket | None = None) -> Iterator[Proxy]:
        """Pass connections to *listener*, else to a free port of loopback, on to *port* of loopback."""
        proxy = cls(port, listener)
        thread = threading.Thread(target=proxy._loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(proxy._listen(), proxy._loop).result()
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(proxy._close(), proxy._loop).result()
            proxy._loop.call_soon_threadsafe(proxy._loop.stop)
            thread.join()
            proxy._loop.close()

    def cut(self) -> None:
        """Break every connection, in the middle of whatever is on its way."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, sock=self._listener)

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in self._pairs:
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            self._pairs |= {writer, forth}
            await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))
            self._pairs -= {writer, forth}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(_CHUNK):
                writer.write(content)
                await writer.drain()
        writer.transport.abort()
