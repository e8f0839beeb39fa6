"""How to ask the dialects of the tests: directly, or over TCP with raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from sessiond.http.access_log import AccessLog
from sessiond.http.app import App
from sessiond.http.edge import Edge
from sessiond.http.limits import Limits
from sessiond.http.server import HttpServer, bind
from tests.deployment import SetClock
from tests.http.oddities import World, oddities, open_to_scripts


class Lines:
    """Keeps what a log writes."""

    def __init__(self) -> None:
        self.written = io.BytesIO()

    def write(self, lines: bytes) -> None:
        self.written.write(lines)


class Answered(NamedTuple):
    """An answer as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for other, value in self.headers if other.lower() == name]
        assert len(values) <= 1, f"{name} stands {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the answer is
        return msgspec.json.decode(self.body)


async def ask(
    app: App,
    method: str,
    target: str,
    body: bytes | Sequence[bytes] = b"",
    *,
    headers: Sequence[tuple[str, str]] = (),
    host: str | None = "localhost:8000",
    client: tuple[str, int] = ("127.0.0.1", 40000),
    http_version: str = "1.1",
    scheme: str = "http",
) -> Answered:
    """Ask without a network; JSON is the content type unless *headers* say otherwise."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    path, _, query = target.partition("?")
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if host is not None:
        sent.append((b"host", host.encode()))
    if any(chunks) and not any(name == b"content-type" for name, _ in sent):
        sent.append((b"content-type", b"application/json"))
    messages: Iterator[dict[str, Any]] = iter(
        [
            {"type": "http.request", "body": chunk, "more_body": place < len(chunks) - 1}
            for place, chunk in enumerate(chunks)
        ]
    )
    answers: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode(),
        "headers": sent,
        "http_version": http_version,
        "scheme": scheme,
        "client": client,
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    start, *rest = answers
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Answered(start["status"], pairs, b"".join(message["body"] for message in rest))


class Surface:
    """An app with the sample dialects, its world, and what it logged."""

    def __init__(self, edge: Edge | None = None, max_in_flight: int = 1000) -> None:
        self.world = World()
        self.log = Lines()
        self.access_log = AccessLog(self.log.write)
        self.edge = edge or Edge()
        self.app = App(
            [oddities(self.world), open_to_scripts()],
            edge=self.edge,
            clock=SetClock(),
            access_log=self.access_log,
            max_in_flight=max_in_flight,
        )
        self.ask = partial(ask, self.app)

    def log_lines(self) -> list[Any]:
        self.access_log.flush()
        return [msgspec.json.decode(line) for line in self.log.written.getvalue().splitlines()]

    @contextlib.asynccontextmanager
    async def served(
        self, *, limits: Limits | None = None, drain_seconds: float = 5
    ) -> AsyncIterator[HttpServer]:
        """Serve on a free port, and stop in the end."""
        server = HttpServer(self.app, bind("127.0.0.1", 0), limits=limits, drain_seconds=drain_seconds)
        await server.start()
        try:
            yield server
        finally:
            self.world.gate.set()
            server.stop()
            await server.wait()


class Wire:
    """One TCP connection to a server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, server: HttpServer) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection(*server.addresses[0], limit=2**20)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    def get(self, target: str, *headers: str, method: str = "GET") -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
        self.send("\r\n".join(lines).encode("latin-1"), b"\r\n\r\n")

    async def answer(self, *, with_body: bool = True) -> Answered:
        async with asyncio.timeout(120):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            assert head[0].startswith("HTTP/1.1 "), "nothing may stand before an answer"
            headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in head[1:] if line]
            answered = Answered(int(head[0].split()[1]), headers, b"")
            length = int(answered.header("content-length") or 0) if with_body else 0
            return answered._replace(body=await self.reader.readexactly(length))

    async def ended(self) -> bytes:
        """Return what comes until the server closes."""
        async with asyncio.timeout(120):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""
