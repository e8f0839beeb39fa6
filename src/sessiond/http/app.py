"""The dispatcher: one plain ASGI callable over all dialects. What it does, in order, is in `docs/dialects.md`."""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping, Sequence, Sized
from typing import Any
from urllib.parse import quote

from sessiond.domain.errors import Refusal
from sessiond.http.access_log import AccessLog
from sessiond.http.answer import Answer
from sessiond.http.attempts import Attempts, note_refused
from sessiond.http.body import ClientGoneError, Receive, parse_body, read_body
from sessiond.http.counting import Quotas, count, counted_as, quota_headers
from sessiond.http.dialect import Dialect
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.head import Head
from sessiond.http.json_body import decode_query
from sessiond.http.logs import frames_of
from sessiond.http.own_pages import own_pages
from sessiond.http.peer import Connection
from sessiond.http.problems import refuse_with_problem
from sessiond.http.refusals import OVERLOADED, Defect
from sessiond.http.request import Request
from sessiond.http.request_ids import RequestIds
from sessiond.http.router import Route, Router
from sessiond.http.wire import Finished, Finisher, preflight, refused
from sessiond.services.ports import Clock

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CLIENT_GONE = 499
_logger = logging.getLogger("sessiond.http")


class App:
    """Every dialect behind one ASGI callable.

    *max_in_flight* requests are worked on at once; more are refused with 503. *quotas* None: no rate limits.
    *in_flight* is how many are; *refusals* counts what was refused, by code; *connections* are those of the server
    that serves the app.
    Raises `ValueError` when two endpoints claim the same path.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        *,
        edge: Edge,
        clock: Clock,
        access_log: AccessLog | None = None,
        request_ids: RequestIds | None = None,
        max_in_flight: int = 1000,
        quotas: Quotas | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        own = own_pages(dialects, edge)
        self.dialects = (*dialects, own)
        self.edge = edge
        self.clock = clock
        self.access_log = access_log or AccessLog(None)
        self.request_ids = request_ids or RequestIds()
        self.router = Router(self.dialects, own)
        self.max_in_flight = max_in_flight
        self.refusals: Counter[str] = Counter()
        self.connections: Sized = ()
        self._quotas = quotas
        self._attempts = attempts
        self._finisher = Finisher(secure=edge.secure)
        self.in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        finished = await self.respond(self._request(scope), receive)
        if finished is not None:
            body = b"" if scope["method"] == "HEAD" else finished.body
            await send(
                {"type": "http.response.start", "status": finished.status, "headers": finished.headers}
            )
            await send({"type": "http.response.body", "body": body})

    def request(self, head: Head, connection: Connection) -> Request:
        """Return a request, with an id of its own."""
        incoming = head.values.get(b"x-request-id")
        request_id = self.request_ids.mint() if incoming is None else self.request_ids.accept(incoming)
        return Request(head, connection, self.edge, self.clock, request_id)

    async def respond(self, request: Request, receive: Receive) -> Finished | None:
        """Return the answer to *request*, ready for the wire and logged; None when the client has gone."""
        started = time.perf_counter_ns()
        match = self.router.match(request.head.path)
        dialect, problem = match.dialect, request.head.problem
        self.in_flight += 1
        try:
            if problem is not None:
                raise problem  # noqa: TRY301 - refused like everything else
            self.admit()
            if request.method == "OPTIONS" and dialect.cors is not None and match.place is not None:
                answer = preflight(dialect)
            else:
                route = match.route(request.method)
                dialect = route.dialect
                request.params = match.params
                answer = await self._ask(route, request, receive)
        except ClientGoneError:
            self.access_log.record(request, match.template, _CLIENT_GONE, started)
            return None
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            answer = self.answer_to(error, request, dialect)
        finally:
            self.in_flight -= 1
        if request.quota is not None:
            answer = answer.with_headers(*quota_headers(request.quota))
        finished = self.finish(answer, request, dialect)
        self.access_log.record(request, match.template, finished.status, started)
        return finished

    def answer_to(self, error: Exception, request: Request, dialect: Dialect) -> Answer:
        """Return what *dialect* says to what was raised: a refusal, or a defect of ours, which is logged."""
        if isinstance(error, Refusal):
            error.forget_where()
            note_refused(error, request, self._attempts)
            return self.refuse(error, request, dialect)
        log_defect(error, request)
        return self.refuse(Defect(), request, dialect)

    def admit(self) -> None:
        """Raise `OVERLOADED` when as many requests as may be are worked on, besides the present one."""
        if self.in_flight > self.max_in_flight:
            raise OVERLOADED

    def refuse(self, refusal: Refusal, request: Request, dialect: Dialect) -> Answer:
        """Return *refusal* as *dialect* shows it, with the headers that HTTP asks for; never raises."""
        self.refusals[refusal.code] += 1
        try:
            return refused(dialect.refuse(refusal, request), refusal)
        except Exception as error:  # noqa: BLE001 - the dialect's own rendering failed; nobody else can answer
            log_defect(error, request)
            return refuse_with_problem(Defect(), request)

    def finish(self, answer: Answer, request: Request, dialect: Dialect) -> Finished:
        """Return *answer* ready for the wire; one that cannot be sent becomes a `Defect`."""
        try:
            return self._finisher.finish(answer, request, dialect)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer and the log a line
            log_defect(error, request)
        answer = refuse_with_problem(Defect(), request)
        return self._finisher.finish(answer, request, self.dialects[-1])

    async def _ask(self, route: Route, request: Request, receive: Receive) -> Answer:
        """Return what the endpoint answers, after everything that is checked before it."""
        endpoint = request.endpoint = route.endpoint
        if endpoint.same_origin:
            request.require_same_origin()
        decode: Callable[[], object] | None = None
        if endpoint.takes_body and route.dialect.body_before_credential:
            decode = await self._body(request, receive, endpoint)
        request.caller = await endpoint.credential.resolve(request)
        if endpoint.takes_body:
            request.body = (decode or await self._body(request, receive, endpoint))()
        if endpoint.query is not None:
            request.query = decode_query(request.query_items(), endpoint.query)
        if self._quotas is not None:
            counted = counted_as(request, self._quotas)
            if counted is not None:
                await count(request, counted, self._quotas)
        return await endpoint.handler(request)

    async def _body(self, request: Request, receive: Receive, endpoint: Endpoint) -> Callable[[], object]:
        """Return what decodes the body, once it is there."""
        body = request.whole_body
        if body is None:
            body = await read_body(request, functools.partial(self._receive, receive), endpoint.max_body)
        return parse_body(body, request, endpoint)

    async def _receive(self, receive: Receive) -> MutableMapping[str, Any]:
        """Wait for more of a body. Who only waits for a slow client is not in flight, and does not crowd others out."""
        self.in_flight -= 1
        try:
            return await receive()
        finally:
            self.in_flight += 1

    def _request(self, scope: Scope) -> Request:
        path = scope.get("raw_path") or quote(scope["path"]).encode()
        head = Head(
            scope["method"],
            path.decode("latin-1"),
            scope["query_string"],
            scope["headers"],
        )
        head.http_version = scope["http_version"]
        scheme = scope.get("scheme", "http")
        return self.request(head, Connection(scope.get("client"), scope.get("server"), scheme))


def log_defect(error: Exception, request: Request) -> None:
    """Write one line about a fault that nobody foresaw: its class and where it was raised, no message."""
    _logger.error(
        "request failed",
        extra={
            "request_id": request.request_id,
            "path": request.endpoint.path if request.endpoint else "-",
            "error": type(error).__qualname__,
            "frames": " < ".join(reversed(frames_of(error.__traceback__))),
        },
    )
