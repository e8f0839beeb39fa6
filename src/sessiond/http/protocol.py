"""uvicorn's HTTP protocol, changed where that was measured (`docs/performance.md`, `docs/decisions/`) or is safer.

Instant GETs are answered where their head ends, without a task. A head that was read before is not parsed again. No
timer is set per request: one sweep a second looks at all connections, and it bounds slow heads, slow bodies and clients
that do not read. Whatever is refused before a dialect is known gets problem details, a request id and a line in the
access log. Nothing is upgraded to. Pipelined requests are read little by little, and whole ones are answered also where
their client half-closes the connection, or where what comes behind them cannot be read.

It leans on internals of uvicorn, whose version is pinned; `tests/http/test_protocol_internals.py` fails when they move.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from sessiond.domain.errors import InvalidRequest, Refusal, Unavailable
from sessiond.http.app import App
from sessiond.http.exchange import ANSWERED, CLOSE_LINE, Exchange
from sessiond.http.head import Head, Heads, read_head
from sessiond.http.instant import InstantAnswers
from sessiond.http.limits import Limits
from sessiond.http.peer import Connection
from sessiond.http.problems import refuse_with_problem
from sessiond.http.wire import head_lines, refused

_UNREADABLE = InvalidRequest(
    "unreadable_request", "This is no HTTP/1.1 request that can be read without doubt."
)
_HEAD_TOO_LARGE = InvalidRequest("head_too_large", "The request line and headers are too long.")
_TOO_SLOW = InvalidRequest("too_slow", "The request did not arrive in time.")
_TOO_MANY = Unavailable("too_many_connections", "Too many connections; try again.")
_STATUSES = {_UNREADABLE: 400, _HEAD_TOO_LARGE: 431, _TOO_SLOW: 408, _TOO_MANY: 503}

_BODY_BEFORE_HEAD_BYTES = 64 * 1024
"""What a chunk that ends within a head may hold of the body before it."""

_PIECE_BYTES = 16 * 1024
"""How much is read at once of what came: requests that wait take twenty times the memory of their bytes."""

_MOST_DISCARDED_BYTES = 1024 * 1024
_ENDS_BODY = frozenset({b"content-length", b"transfer-encoding"})


class Ticks:
    """Seconds, counted by the sweep: what connections read instead of a clock."""

    def __init__(self) -> None:
        self.now = 0


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        ticks: Ticks,
        limits: Limits,
        instants: InstantAnswers,
        heads: Heads,
        sessiond: App,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._ticks = ticks
        self._limits = limits
        self._find_instant = instants.find
        self._answer_instantly = instants.answer
        self._heads = heads
        self._head: Head | None = None
        self._between = True
        self._sessiond = sessiond
        self._connection = Connection(None, None)
        self._active_at = self._task_at = self._stalled_at = ticks.now
        self._head_at: int | None = ticks.now
        self._in_head = True
        self._head_bytes = self._piece_bytes = 0
        self._unread = b""
        self._went_on = self._retold = False
        self._discarded_bytes = 0
        self._default_headers: object = None
        self._common = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        super().connection_made(transport)
        server = self.server if self.server and self.server[1] is not None else None
        self._connection = Connection(
            self.client, (server[0], server[1] or 0) if server else None, self.scheme or "http"
        )
        if len(self.connections) > self._limits.connections:
            self._refuse(_TOO_MANY)

    def data_received(self, data: bytes) -> None:
        """Begin a request with a known head, or feed the parser; what it cannot read, or has no end, is refused."""
        if len(data) > _PIECE_BYTES:
            self._read_by_pieces(data)
            return
        now = self._active_at = self._ticks.now
        between, end, read = self._between and now >= self._heads.rests_until, 0, b""
        if between:
            end = data.find(b"\r\n\r\n") + 4
            read = data[:end]
            head = self._heads.find(read, len(data) - end)
            if head is not None:
                self._begin_known(head, data[end:])
                return
        self._piece_bytes = len(data)
        self._head_bytes = self._piece_bytes + (0 if self._went_on else self._head_bytes)
        self._went_on = False  # until there is the end of a head, some of a body, or the end of a request
        self._between = False  # until it is whole
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._between = False
            refusal = _HEAD_TOO_LARGE if error.__context__ is _HEAD_TOO_LARGE else _UNREADABLE
            refusal.forget_where()
            self._refuse_or_close(refusal)
            return
        if not self._went_on:
            self._wait_on()
        elif between and self._between and self._head is not None:
            self._heads.keep(self._head, read, len(data) - end, now)

    def _read_by_pieces(self, data: bytes) -> None:
        """Read until requests wait for their turn; the rest is read when the last of them has it."""
        for begin in range(0, len(data), _PIECE_BYTES):
            if self.pipeline:
                self._unread = data[begin:]
                return
            if not self.transport.is_closing():
                self.data_received(data[begin : begin + _PIECE_BYTES])

    def _feed(self, data: bytes) -> None:
        """Feed the parser. Nothing is ever upgraded to: what follows who asked for it is HTTP, as it was before."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as asked:
                data = data[asked.args[0] :]
                self._go_on_without_upgrade()
            else:
                return

    def _go_on_without_upgrade(self) -> None:
        """Let the parser read the body of who asked for an upgrade (RFC 9110 section 7.8): it took it for what follows.

        It is told of a request that ends as that one does, and what it says of the head is left out.
        """
        head = self._head
        framing = [] if head is None else [pair for pair in head.headers if pair[0] in _ENDS_BODY]
        if head is None or not framing:
            return
        exchange: Any = self.cycle
        if not exchange.response_complete:
            exchange.more_body = True
        self._retold = True
        end = b"\r\n"
        if not head.keep_alive:  # then the parser leaves out whatever follows
            self.parser = httptools.HttpRequestParser(self)
            end = CLOSE_LINE + end
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head_lines(framing) + end)

    def on_message_begin(self) -> None:
        """Begin a request; the scope is made only if a task will answer it."""
        self.url = b""
        self.headers = []
        self._in_head = True
        self._head = None
        self._head_bytes = self._piece_bytes
        self._between = self._went_on = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, without the white space that may stand behind it (RFC 9112 section 5.1)."""
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Answer at once where that is possible, else start a task."""
        self._in_head = False
        self._went_on = True
        self._head_at = None
        self._discarded_bytes = 0
        if self._retold:
            self._retold, self.headers = False, []
            return
        if self._head_bytes > self._limits.head_bytes and self._is_head_too_large():
            raise _HEAD_TOO_LARGE  # so that the parser stops: nothing that follows is taken on
        self._head = read_head(self.parser, self.url, self.headers, self._find_instant)
        self.headers = []  # trailers are no headers
        self._begin(self._head)

    def on_message_complete(self) -> None:
        """Tell the task, if there is one."""
        self._between = self._went_on = True
        exchange: Any = self.cycle
        if not exchange.response_complete:
            exchange.more_body = False
            exchange.arrived()

    def on_body(self, body: bytes) -> None:
        """Keep the body for the task; of one that nobody reads any more, only so much is waited for."""
        self._went_on = True
        exchange: Any = self.cycle
        if exchange.response_complete:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > _MOST_DISCARDED_BYTES:
                self.transport.close()
                raise _UNREADABLE  # so that the parser stops: nothing that follows is taken on
            return
        exchange.keep(body)
        if len(exchange.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.arrived()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, if there is one; no timer is set, the sweep looks after idle ones."""
        self.server_state.total_requests += 1
        self._active_at = self._ticks.now
        if self.transport.is_closing():
            return
        if self.pipeline:  # more is read when all of them are answered, or they would only become more
            exchange: Any = self.pipeline.pop()[0]
            exchange.start(self._sessiond)
            if self._unread and not self.pipeline:
                data, self._unread = self._unread, b""
                self.data_received(data)
        elif self.flow.read_paused:
            self.flow.resume_reading()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the connection ends: who says that nothing more comes may still read."""
        cycle = self._present_cycle
        if cycle is None or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        """Note since when the client does not read: what it sends meanwhile wins it no time."""
        self._stalled_at = self._ticks.now
        super().pause_writing()

    def sweep(self) -> None:
        """End the connection if it is over one of its time limits."""
        now, limits = self._ticks.now, self._limits
        cycle = self._present_cycle
        if self.flow.write_paused:
            if now - self._stalled_at > limits.stalled_seconds:
                self.transport.abort()
        elif cycle is not None:
            if cycle.more_body and now - self._task_at > limits.body_seconds:
                self._refuse_or_close(_TOO_SLOW)
        elif self._in_head:
            if self._head_at is not None and now - self._head_at > limits.head_seconds:
                self._refuse(_TOO_SLOW)
        elif now - self._active_at > limits.idle_seconds:
            self.transport.close()

    @property
    def _present_cycle(self) -> RequestResponseCycle | None:
        """The last request that a task answers, while it is not answered."""
        cycle: Any = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _is_free(self) -> bool:
        """Whether a request can be answered now: none before it waits for its answer, and the client reads."""
        cycle: Any = self.cycle
        return (cycle is None or cycle.response_complete) and not self.flow.write_paused

    def _wait_on(self) -> None:
        """Note that a head, or the trailers, are not complete; when a head began, the sweep counts."""
        if self._in_head and self._head_at is None:
            self._head_at = self._ticks.now
        if self._head_bytes > self._limits.head_bytes + _BODY_BEFORE_HEAD_BYTES:
            self._refuse_or_close(_HEAD_TOO_LARGE)

    def _begin_known(self, head: Head, body: bytes) -> None:
        """Begin a request that is whole, as the parser would."""
        self._in_head = False
        self._head_at = None
        self._begin(head)
        exchange: Any = self.cycle
        if not exchange.response_complete:
            exchange.body = body
            exchange.more_body = False

    def _begin(self, head: Head) -> None:
        if head.instant is not None and self._is_free():
            response = self._answer_instantly(head.instant, head, self._connection, self.common_lines())
            if isinstance(response, bytes):
                self._respond(response, head)
                return
            if response is not None:
                exchange: Any = Exchange(response.request, self)
                self._take_on(exchange)
                response.then(exchange.respond)
                return
        self._start_task(head)

    def _start_task(self, head: Head) -> None:
        exchange: Any = Exchange(self._sessiond.request(head, self._connection), self)
        former: Any = self.cycle
        self._take_on(exchange)
        if former is None or former.response_complete:
            exchange.start(self._sessiond)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))

    def _take_on(self, exchange: Any) -> None:  # noqa: ANN401  stands where uvicorn's own cycle would
        self._task_at = self._ticks.now
        self.cycle = exchange

    def common_lines(self) -> bytes:
        """Return the header lines that stand in every response: the date."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers, self._common = headers, head_lines(headers)
        return self._common

    def _is_head_too_large(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > self._limits.head_bytes

    def _respond(self, response: bytes, head: Head) -> None:
        self.cycle = ANSWERED
        self.server_state.total_requests += 1
        if head.keep_alive:
            self.transport.write(response)
            return
        end = response.index(b"\r\n") + 2
        self.transport.write(response[:end] + CLOSE_LINE + response[end:])
        self.transport.close()

    def _refuse_or_close(self, refusal: Refusal) -> None:
        """Refuse what cannot be read; complete requests before it are still answered, and then the connection ends."""
        cycle = self._present_cycle
        if cycle is None:
            self._refuse(refusal)
        elif not cycle.more_body:
            self.flow.pause_reading()
            cycle.keep_alive = False
        elif self.pipeline:
            self.transport.close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        if self.transport.is_closing():
            return
        app = self._sessiond
        request = app.request(Head("OTHER", "-", b"", ()), self._connection)
        app.refusals[refusal.code] += 1
        answer = refuse_with_problem(refusal, request, status=_STATUSES[refusal])
        finished = app.finish(refused(answer, refusal), request, app.dialects[-1])
        app.access_log.record(request, "-", finished.status, time.perf_counter_ns())
        self.cycle = ANSWERED
        self.transport.write(finished.head(self.common_lines() + CLOSE_LINE) + finished.body)
        self.transport.close()
