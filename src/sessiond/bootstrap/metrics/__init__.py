"""Metrics: everything that is counted anywhere, brought together when somebody asks for it."""

from __future__ import annotations

import asyncio
import logging
import os

from sessiond.bootstrap.metrics.exposing import Exposed
from sessiond.bootstrap.metrics.families import WORKERS_WANTED
from sessiond.bootstrap.metrics.gathering import note_deployment, read_keys, read_process
from sessiond.bootstrap.metrics.pages import Page
from sessiond.bootstrap.metrics.readings import Readings
from sessiond.bootstrap.opening import Opened
from sessiond.crypto.ring import KeyRing
from sessiond.http.app import App

_PUBLISHED_EVERY_SECONDS = 1.0

_logger = logging.getLogger("sessiond")


class Metrics:
    """The metrics of one process; with a *page*, of all workers together."""

    def __init__(self, opened: Opened, page: Page | None = None) -> None:
        self._opened = opened
        self._page = page
        self._app: App | None = None
        self._keys: tuple[KeyRing, Readings] | None = None

    def watch(self, app: App) -> None:
        """Read what *app* counts; nothing can be gathered before."""
        self._app = app

    async def gather(self) -> Exposed:
        """Return everything as of now; of other workers, as of a second ago at most."""
        readings, page = Readings(), self._page
        readings.join(self.publish())
        processes: dict[int | None, int] = {None if page is None else page.place: os.getpid()}
        if page is not None:
            for place, pid, other in page.others():
                readings.join(other, ended=pid is None)
                if pid is not None:
                    processes[place] = pid
        readings.note(WORKERS_WANTED, 1 if page is None else page.wanted)
        readings.join(self._of_keys())
        await note_deployment(readings, self._opened)
        return Exposed(readings, processes)

    def publish(self) -> Readings:
        """Return what this process has counted, and show it to other workers where there are any."""
        if self._app is None:
            raise RuntimeError("there is no app to watch")
        own = read_process(self._opened, self._app)
        return own if self._page is None else self._page.publish(own)

    async def keep_published(self) -> None:
        """Show other workers each second what this one has counted; return at once where there are none."""
        while self._page is not None:
            try:
                self.publish()
            except Exception:
                _logger.exception("the metrics were not shown to the other workers")
            await asyncio.sleep(_PUBLISHED_EVERY_SECONDS)

    def _of_keys(self) -> Readings:
        ring = self._opened.services.keys.ring
        if self._keys is None or self._keys[0] is not ring:
            self._keys = ring, read_keys(ring)
        return self._keys[1]
