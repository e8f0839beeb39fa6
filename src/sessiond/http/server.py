"""Serving: sockets, uvicorn on uvloop with our protocol, draining on SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import math
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar, cast

import uvicorn
import uvloop

from sessiond.domain.errors import Misconfigured
from sessiond.http.app import App
from sessiond.http.head import Heads
from sessiond.http.instant import InstantAnswers
from sessiond.http.limits import Limits
from sessiond.http.peer import Address
from sessiond.http.protocol import Protocol, Ticks

T = TypeVar("T")

_BACKLOG = 2048
_SWEEP_SECONDS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_YOUNG_OBJECTS = 10_000
"""After how many objects the collector looks at the young ones: requests in flight hold thousands, and need no help."""


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for every address of *host*; port 0 takes one free port for all.

    Raises `Misconfigured`, in one sentence, when the port is in use, not allowed, or the address not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Misconfigured(f"The host {host!r} cannot be resolved ({error.strerror}).") from None
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((family, address[:2]) for family, *_, address in found):
            taken = sockets[0].getsockname()[1] if sockets else port
            sockets.append(_listen(family, str(address[0]), taken))
    except OSError as error:
        for bound in sockets:
            bound.close()
        raise Misconfigured(_why_not_bound(error, host, port)) from None
    return sockets


def _listen(family: int, host: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the standard library takes it by position only
    except OSError:
        listener.close()
        raise
    return listener


def _why_not_bound(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} on {host} is in use; stop what listens there or choose another with --port."
        case errno.EACCES:
            return f"Port {port} may not be used by this user; choose one above 1023 with --port."
        case errno.EADDRNOTAVAIL:
            return f"{host} is not an address of this machine; choose another with --host."
        case _:
            return f"{host} port {port} cannot be listened on ({os.strerror(error.errno or 0)})."


class _Uvicorn(uvicorn.Server):
    """uvicorn's server, which tells when it has started and leaves signals to us."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await self.on_tick(0)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """One app on bound sockets, within the running loop."""

    def __init__(
        self,
        app: App,
        sockets: Sequence[socket.socket],
        *,
        limits: Limits | None = None,
        drain_seconds: float = 10.0,
    ) -> None:
        self._app = app
        self._sockets = list(sockets)
        self._ticks = Ticks()
        self.addresses: list[Address] = [listener.getsockname()[:2] for listener in sockets]
        protocol = functools.partial(
            Protocol,
            ticks=self._ticks,
            limits=(limits or Limits()).within_files(),
            instants=InstantAnswers(app),
            heads=Heads(),
            sessiond=app,
        )
        self._server = _Uvicorn(
            uvicorn.Config(
                cast("Any", app),
                http=cast("type[asyncio.Protocol]", protocol),
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(drain_seconds),
            )
        )
        app.connections = self._server.server_state.connections
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections; returns when that is so."""
        self._running = asyncio.create_task(self._run())
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            ready.cancel()
            await self._running

    def stop(self) -> None:
        """Stop accepting and finish what is in flight; a second call does not wait for it."""
        if self._server.should_exit:
            self._server.force_exit = True
            # From Python 3.12 on asyncio's own server stops only when its connections are gone; uvloop's does not wait.
            self._ending = asyncio.create_task(self._end_the_rest())
        self._server.should_exit = True

    async def wait(self) -> None:
        """Return when it has stopped and everything in flight was answered, or the time for that was over."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        sweeper = asyncio.create_task(self._sweep())
        try:
            await self._server.serve(self._sockets)
            await self._end_the_rest()
        finally:
            sweeper.cancel()
            self._app.access_log.flush()

    async def _end_the_rest(self) -> None:
        """Let go of what the time for draining was too short for."""
        state = self._server.server_state
        if state.tasks:
            await asyncio.wait(set(state.tasks), timeout=1)
        for connection in list(state.connections):
            cast("Protocol", connection).transport.abort()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._ticks.now += 1
            for connection in list(self._server.server_state.connections):
                cast("Protocol", connection).sweep()


async def serve(
    app: App,
    sockets: Sequence[socket.socket],
    *,
    drain_seconds: float = 10.0,
    limits: Limits | None = None,
    on_started: Callable[[Sequence[Address]], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; returns when nothing is in flight, so that the store can be closed.

    *on_started* is called with the addresses once connections are accepted. A second signal ends the wait.
    """
    server = HttpServer(app, sockets, limits=limits, drain_seconds=drain_seconds)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, server.stop)
    try:
        await server.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        if on_started is not None:
            on_started(server.addresses)
        await server.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on uvloop and return what it returns."""
    return uvloop.run(main)
