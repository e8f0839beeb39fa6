"""Instant answers: GET endpoints that are answered inside the protocol, without a task, as bytes.

They keep everything that the ordinary way promises: the checks of the head, the dialect's refusals, every header, the
request id, the access log, and the bound on what is worked on at once.
"""

from __future__ import annotations

import asyncio
import functools
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from sessiond.domain.errors import Refusal
from sessiond.http.answer import Answer
from sessiond.http.app import App
from sessiond.http.head import Head
from sessiond.http.peer import Connection
from sessiond.http.request import Request
from sessiond.http.router import Route
from sessiond.http.wire import STATUS_LINES, json_head

_RESPONSE = STATUS_LINES[200] + b"%b%b%d\r\nx-request-id: %b\r\n\r\n%b"

Render = Callable[[bytes], bytes]
"""Returns the whole response with the header lines that it is given in it."""

Asked = Coroutine[Any, Any, Answer | bytes]


class InstantAnswers:
    """The instant endpoints of an app, by the exact bytes of their targets (without a query)."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._json_head = json_head(secure=app.edge.secure)
        self._routes: dict[bytes, Route] = {}
        for place in app.router.places:
            route = place.routes.get("GET")
            if route is not None and route.endpoint.instant is not None and "{" not in place.template:
                for path in (place.template, place.template.rstrip("/") + "/"):
                    self._routes[path.encode("ascii")] = route
        self.find = self._routes.get

    def answer(self, route: Route, head: Head, connection: Connection, common: bytes) -> bytes | Later | None:
        """Return the whole response with the header lines *common* in it, or None where the handler must answer.

        `Later` is returned where the store has to be waited for.
        """
        started = time.perf_counter_ns()
        app, instant = self._app, route.endpoint.instant
        request = app.request(head, connection)
        request.endpoint = route.endpoint
        try:
            if head.problem is not None:
                raise head.problem  # noqa: TRY301 - refused like everything else
            result = instant(request) if instant is not None else None
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            result = app.answer_to(error, request, route.dialect)
        if result is None:
            return None
        if isinstance(result, (bytes, Answer)):
            return self.response(result, route, request, started, common)
        later = Later(self, route, request, started, result)
        return later if later.begin() else later.render(common)

    def begin(self) -> None:
        """Count a request that is worked on. Raises `OVERLOADED` where there are too many."""
        self._app.in_flight += 1
        self._app.admit()

    def end(self) -> None:
        """Count it no more."""
        self._app.in_flight -= 1

    def answer_to(self, error: Exception, route: Route, request: Request) -> Answer:
        """Return what is said to what was raised."""
        return self._app.answer_to(error, request, route.dialect)

    def response(
        self, result: Answer | bytes, route: Route, request: Request, started: int, common: bytes
    ) -> bytes:
        """Return the whole response, and log it; *started* is of `perf_counter_ns`."""
        app, dialect = self._app, route.dialect
        if isinstance(result, bytes):
            if dialect.decorate is None and dialect.cors is None:
                app.access_log.record(request, route.template, 200, started)
                request_id = request.request_id.encode("ascii")
                return _RESPONSE % (common, self._json_head, len(result), request_id, result)
            result = Answer(200, result, content_type=route.endpoint.answer_type)
        finished = app.finish(result, request, dialect)
        app.access_log.record(request, route.template, finished.status, started)
        return finished.head(common) + finished.body


class Later:
    """An answer that waits for the store.

    It is stepped by hand up to its second wait, which few come to: a task, with its context and its registration, costs
    more than a batched read. From there on a task goes on with it, so that everything works that needs one.
    """

    def __init__(
        self, answers: InstantAnswers, route: Route, request: Request, started: int, asked: Asked
    ) -> None:
        self.request = request
        self._answers = answers
        self._route = route
        self._started = started
        self._asked = asked
        self._result: Answer | bytes = b""
        self._awaited: Any = None
        self._respond: Callable[[Render], None] = _nobody
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> bool:
        """Go up to the first wait; False when there is none, and `render` has the answer."""
        try:
            self._answers.begin()
        except Refusal as refusal:
            self._asked.close()
            self._end_with(refusal)
            return False
        return self._step()

    def then(self, respond: Callable[[Render], None]) -> None:
        """Call *respond* once, when there is an answer."""
        self._respond = respond
        if asyncio.isfuture(self._awaited):
            self._awaited._asyncio_future_blocking = False  # noqa: SLF001 - as a task acknowledges a future
            self._awaited.add_done_callback(self._go_on)
        else:
            self._hand_over()

    def render(self, common: bytes) -> bytes:
        """Return the whole response with the header lines *common* in it, and log it."""
        return self._answers.response(self._result, self._route, self.request, self._started, common)

    def _go_on(self, _awaited: object) -> None:
        if self._step():
            self._hand_over()
        else:
            self._respond(self.render)

    def _step(self) -> bool:
        try:
            self._awaited = self._asked.send(None)
        except StopIteration as done:
            self._result = done.value
            self._answers.end()
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._end_with(error)
        else:
            return True
        return False

    def _hand_over(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._finish())

    async def _finish(self) -> None:
        try:
            self._result = await _go_on_with(self._asked, self._awaited)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            self._end_with(error)
        else:
            self._answers.end()
        self._respond(self.render)

    def _end_with(self, error: Exception) -> None:
        self._result = self._answers.answer_to(error, self._route, self.request)
        self._answers.end()


def _nobody(_render: Render) -> None:
    """Stand in for who is told, until `then` names them."""


@types.coroutine
def _go_on_with(asked: Asked, awaited: object) -> Generator[object, None, Answer | bytes]:
    """Go on, within a task, with a coroutine that has come to wait for *awaited*."""
    while True:
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation, too, is the coroutine's to hear
            step = functools.partial(asked.throw, error)
        else:
            step = functools.partial(asked.send, None)
        try:
            awaited = step()
        except StopIteration as done:
            result: Answer | bytes = done.value
            return result
