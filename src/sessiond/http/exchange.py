"""One request that a task answers: what uvicorn's cycle is to its protocol, without the ASGI messages between.

The app's answer goes to the transport in one write, unless it is large. The members that uvicorn's protocol reads and
writes (`body`, `more_body`, `message_event`, `keep_alive`, `disconnected`, `response_started`, `response_complete`) are
named as there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from sessiond.http.app import App
from sessiond.http.instant import Render
from sessiond.http.request import Request
from sessiond.http.wire import Finished

CLOSE_LINE = b"connection: close\r\n"
_LARGE_BODY = 64 * 1024
"""Bytes from which a body is written by itself: clients that do not read one that is the same for all hold it once."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_logger = logging.getLogger("sessiond.http")


class Line(Protocol):
    """The connection on which a request came: what an exchange needs of it."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    tasks: set[asyncio.Task[None]]

    def common_lines(self) -> bytes:
        """Return the header lines that stand in every response."""
        ...

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        ...


class Exchange:
    """A request on its way through the app."""

    # Defaults stand in the class: fewer stores when one is made, on the hot path.
    body: bytes | bytearray = b""
    more_body = True
    disconnected = False
    response_started = False
    response_complete = False
    _continued = False
    _event: asyncio.Event | None = None

    def __init__(self, request: Request, line: Line) -> None:
        self._request = request
        self._line = line
        self.keep_alive = request.head.keep_alive

    @property
    def message_event(self) -> asyncio.Event:
        """What is set whenever more arrived; most requests are whole before anybody waits, and never need it."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def keep(self, body: bytes) -> None:
        """Keep more of the body: one piece as it came, several in one place, so that small ones copy nothing again."""
        if not self.body:
            self.body = body
            return
        if isinstance(self.body, bytes):
            self.body = bytearray(self.body)
        self.body += body

    def arrived(self) -> None:
        """Tell whoever waits that there is more of the body, or that it has ended."""
        if self._event is not None:
            self._event.set()

    def start(self, app: App) -> None:
        """Answer the request in a task, which is among the connection's tasks meanwhile."""
        self._task = self._line.loop.create_task(self._answer(app))
        self._line.tasks.add(self._task)

    async def _answer(self, app: App) -> None:
        if not self.more_body and not self.disconnected:
            self._request.whole_body = bytes(self.body)
        try:
            finished = await app.respond(self._request, self._receive)
            if finished is None:
                return
            if self._line.flow.write_paused and not self.disconnected:
                await self._line.flow.drain()
            if not self.disconnected:
                self._write(finished)
                self._complete()
        except Exception as error:  # noqa: BLE001 - a client must not wait for what never comes
            self._fail(error)
        finally:
            self._line.tasks.discard(self._task)

    def _write(self, finished: Finished) -> None:
        self.response_started = True
        if self.more_body and not self._continued and self._request.expects_continue:
            # Nobody can tell whether the body comes, or the next request in its place.
            self.keep_alive = False
        head, body, write = finished.head(self._lines()), finished.body, self._line.transport.write
        if self._request.method == "HEAD":
            write(head)
        elif len(body) > _LARGE_BODY:
            write(head)
            write(body)
        else:
            write(head + body)

    def respond(self, render: Render) -> None:
        """Write the small response that an instant endpoint came to."""
        try:
            response = render(self._lines())
        except Exception as error:  # noqa: BLE001 - a client must not wait for what never comes
            self._fail(error)
            return
        if not self.disconnected:
            self.response_started = True
            self._line.transport.write(response)
            self._complete()

    def _fail(self, error: Exception) -> None:
        _logger.error("answering failed", extra={"request_id": self._request.request_id}, exc_info=error)
        self._line.transport.close()

    def _lines(self) -> bytes:
        common = self._line.common_lines()
        return common if self.keep_alive else common + CLOSE_LINE

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._line.transport.close()
        self._line.on_response_complete()

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._continued and self._request.expects_continue and not self._line.transport.is_closing():
            self._line.transport.write(_CONTINUE)
            self._continued = True
        if self.more_body and not self.body and not self.disconnected:
            self._line.flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), b""
        return {"type": "http.request", "body": body, "more_body": self.more_body}


class _Answered:
    """Stands where a request's cycle would, for one that was answered inline: there is nothing left to do for it."""

    response_complete = True
    keep_alive = True
    disconnected = False
    message_event = asyncio.Event()


ANSWERED: Any = _Answered()
