"""Serving: from settings to a server that answers, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import msgspec

from sessiond.bootstrap.announcing import public_access_line, serving_line
from sessiond.bootstrap.background import Background
from sessiond.bootstrap.first_start import first_start_text
from sessiond.bootstrap.metrics import Metrics
from sessiond.bootstrap.metrics.pages import Page, Pages
from sessiond.bootstrap.opening import Opened, open_deployment, settle_server
from sessiond.bootstrap.workers import supervise
from sessiond.config.loading import Loaded
from sessiond.config.settings import LogLevel
from sessiond.domain.errors import Misconfigured
from sessiond.domain.startup import Start
from sessiond.http.access_log import AccessLog, write_to
from sessiond.http.app import App
from sessiond.http.credentials import Credentials
from sessiond.http.discovery import discover
from sessiond.http.edge import Edge
from sessiond.http.logs import configure_logs
from sessiond.http.metrics import metrics_dialect
from sessiond.http.peer import Address
from sessiond.http.server import bind, run
from sessiond.http.server import serve as serve_http
from sessiond.storage.engine import Role

_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_STANDARD_ERROR = 2

_logger = logging.getLogger("sessiond")


def serve(loaded: Loaded) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered before it returns.

    Raises `Misconfigured`, in one sentence, when it cannot start.
    """
    configure_logs(level=_LEVELS[loaded.settings.log_level])
    # The port first: a start that fails for it must not leave a new installation behind.
    sockets = bind(loaded.settings.host, loaded.settings.port)
    port = sockets[0].getsockname()[1]
    loaded = msgspec.structs.replace(loaded, settings=msgspec.structs.replace(loaded.settings, port=port))
    count = loaded.settings.workers
    try:
        if count == 1:
            run(_serve(loaded, sockets))
        else:
            pages = Pages(count)
            supervise(
                count,
                lambda place, first, ready: run(
                    _serve(loaded, sockets, page=pages.page(place), announces=first, on_ready=ready)
                ),
            )
    finally:
        for listener in sockets:
            listener.close()


def build_app(opened: Opened, sockets: Sequence[socket.socket], metrics: Metrics | None = None) -> App:
    """Return the app with every dialect on the services of *opened*, watched by *metrics*, which it shows."""
    settings, token = opened.settings, opened.loaded.secrets.metrics_token
    metrics = metrics or Metrics(opened)
    edge = Edge(
        listeners=[str(listener.getsockname()[0]) for listener in sockets],
        public_url=settings.public_url,
        trusted_proxies=settings.trusted_proxies,
        public_access=settings.public_access,
        login_url=settings.login_url,
        return_to=settings.return_to,
        session_cookie=settings.session_cookie,
    )
    access_log = AccessLog(write_to(_STANDARD_ERROR) if settings.access_log else None)
    shown = metrics_dialect(
        metrics.gather,
        token=None if token is None else token.secret,
        master=Credentials(opened.services.credentials).master,
    )
    app = App(
        [*discover(opened.services, edge), shown],
        edge=edge,
        clock=opened.clock,
        access_log=access_log,
        quotas=opened.services.rate_limits,
        attempts=opened.services.refused_attempts,
    )
    metrics.watch(app)
    return app


async def _serve(
    loaded: Loaded,
    sockets: Sequence[socket.socket],
    *,
    page: Page | None = None,
    announces: bool = True,
    on_ready: Callable[[], None] | None = None,
) -> None:
    opened = await open_deployment(loaded, Role.SERVER)
    try:
        await settle_server(opened, _warn)
        metrics = Metrics(opened, page)
        app = build_app(opened, sockets, metrics)
        background = Background(opened)
        if opened.start is Start.FIRST:
            _say(first_start_text(opened))

        def started(addresses: Sequence[Address]) -> None:
            if announces:
                _say(serving_line(opened, addresses))
                _say(public_access_line(app))
            if on_ready is not None:
                on_ready()
            _logger.info("serving", extra={"public_access": "open" if app.edge.public_open else "closed"})

        background.start()
        publishing = asyncio.create_task(metrics.keep_published())
        _reload_on_hangup(opened, background)
        try:
            drain_seconds = loaded.settings.drain_timeout.total_seconds()
            await serve_http(app, sockets, drain_seconds=drain_seconds, on_started=started)
        finally:
            publishing.cancel()
            metrics.publish()
            await background.stop()
    finally:
        await opened.close()


def _reload_on_hangup(opened: Opened, background: Background) -> None:
    def reload() -> None:
        try:
            again = opened.loaded.reloaded(os.environ).settings
        except Misconfigured as error:
            _logger.error("the settings were not reloaded", extra={"reason": str(error)})  # noqa: TRY400  foreseen
            return
        logging.getLogger().setLevel(_LEVELS[again.log_level])
        background.purge_rules = again.purge
        opened.services.rate_limits.use(again.limits)
        _logger.info("the settings were reloaded")

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _warn(text: str) -> None:
    _logger.warning(text)
    _say(text)
