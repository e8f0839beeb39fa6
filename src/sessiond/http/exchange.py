"""One request that a task answers: what uvicorn's cycle is to its protocol, without the ASGI messages between.

The app's answer goes to the transport in one write, unless it is large. The members that uvicorn's protocol reads and
writes (`body`, `more_body`, `message_event`, `keep_alive`, `disconnected`, `response_started`, `response_complete`) are
named as there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from sessiond.domain.errors import Refusal
from sessiond.http.app import App
from sessiond.http.instant import Render
from sessiond.http.request import Request

CLOSE_LINE = b"connection: close\r\n"
_LARGE_BODY = 64 * 1024
"""Bytes from which a body is written by itself: clients that do not read one that is the same for all hold it once."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_logger = logging.getLogger("sessiond.http")


class Exchange:
    """A request on its way through the app."""

    def __init__(
        self,
        request: Request,
        problem: Refusal | None,
        transport: asyncio.Transport,
        flow: FlowControl,
        *,
        keep_alive: bool,
        expects_continue: bool,
        common: Callable[[], bytes],
        on_response: Callable[[], None],
    ) -> None:
        self._request = request
        self._problem = problem
        self._transport = transport
        self._flow = flow
        self._common = common
        self._on_response = on_response
        self._expects_continue = expects_continue
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self._event: asyncio.Event | None = None

    @property
    def message_event(self) -> asyncio.Event:
        """What is set whenever more arrived; most requests are whole before anybody waits, and never need it."""
        if self._event is None:
            self._event = asyncio.Event()
        return self._event

    def arrived(self) -> None:
        """Tell whoever waits that there is more of the body, or that it has ended."""
        if self._event is not None:
            self._event.set()

    async def run_asgi(self, app: App) -> None:
        """Answer the request; named as uvicorn's protocol calls it."""
        if not self.more_body and not self.disconnected:
            self._request.whole_body = bytes(self.body)
        try:
            finished = await app.respond(self._request, self._problem, self._receive)
            if finished is None:
                return
            if self._flow.write_paused and not self.disconnected:
                await self._flow.drain()
            if self.disconnected:
                return
            self.response_started = True
            with_body = self._request.method != "HEAD"
            apart = with_body and len(finished.body) > _LARGE_BODY
            self._transport.write(finished.response(self._lines(), with_body=with_body and not apart))
            if apart:
                self._transport.write(finished.body)
        except Exception as error:  # noqa: BLE001 - a client must not wait for what never comes
            self._fail(error)
            return
        self._complete()

    def respond(self, render: Render) -> None:
        """Write the small response that an instant endpoint came to."""
        try:
            response = render(self._lines())
        except Exception as error:  # noqa: BLE001 - a client must not wait for what never comes
            self._fail(error)
            return
        if not self.disconnected:
            self.response_started = True
            self._transport.write(response)
            self._complete()

    def _fail(self, error: Exception) -> None:
        _logger.error("answering failed", extra={"request_id": self._request.request_id}, exc_info=error)
        self._transport.close()

    def _lines(self) -> bytes:
        return self._common() if self.keep_alive else self._common() + CLOSE_LINE

    def _complete(self) -> None:
        self.response_complete = True
        if not self.keep_alive:
            self._transport.close()
        self._on_response()

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._expects_continue and not self._transport.is_closing():
            self._transport.write(_CONTINUE)
            self._expects_continue = False
        if self.more_body and not self.body and not self.disconnected:
            self._flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}
