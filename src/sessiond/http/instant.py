"""Instant answers: GET endpoints that are answered inside the protocol, without a task, as bytes.

They keep everything that the ordinary way promises: the checks of the head, the dialect's refusals, every header, the
request id and the access log.
"""

from __future__ import annotations

import time

from sessiond.domain.errors import Refusal
from sessiond.http.answer import Answer
from sessiond.http.app import App, log_defect
from sessiond.http.peer import Connection
from sessiond.http.refusals import Defect
from sessiond.http.request import Headers
from sessiond.http.router import Route
from sessiond.http.wire import STATUS_LINES, json_head

_RESPONSE = STATUS_LINES[200] + b"%b%b%d\r\nx-request-id: %b\r\n\r\n%b"


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

    def answer(self, route: Route, headers: Headers, connection: Connection, common: bytes) -> bytes | None:
        """Return the whole response with the header lines *common* in it, or None where the handler must answer."""
        started = time.perf_counter_ns()
        app, dialect, instant = self._app, route.dialect, route.endpoint.instant
        request, problem = app.request("GET", route.template, b"", headers, connection)
        request.endpoint = route.endpoint
        result: Answer | bytes | None
        try:
            if problem is not None:
                raise problem  # noqa: TRY301 - refused like everything else
            result = instant(request) if instant is not None else None
        except Refusal as refusal:
            refusal.forget_where()
            result = app.refuse(refusal, request, dialect)
        except Exception as error:  # noqa: BLE001 - a defect of ours: one log line, and the dialect's 500
            log_defect(error, request)
            result = app.refuse(Defect(), request, dialect)
        if result is None:
            return None
        if isinstance(result, bytes):
            if dialect.decorate is None and dialect.cors is None:
                app.access_log.record(request, route.template, 200, started)
                request_id = request.request_id.encode("ascii")
                return _RESPONSE % (common, self._json_head, len(result), request_id, result)
            result = Answer(200, result, content_type=route.endpoint.answer_type)
        finished = app.finish(result, request, dialect)
        app.access_log.record(request, route.template, finished.status, started)
        return finished.response(common)
