"""Health: alive is that the loop answers, ready is that a verify could be answered now."""

from __future__ import annotations

from sessiond.domain.errors import Unavailable
from sessiond.domain.freshness import Staleness
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.http.answer import Answer
from sessiond.http.dialects.native.shapes import HealthAnswer, StalenessView
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_NOT_READY = Unavailable("store_unavailable", "The store does not answer.")


class Health:
    """What an orchestrator asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "GET",
                "/healthz",
                self.alive,
                summary="Tell whether the process answers",
                tags=("health",),
                answers={200: HealthAnswer},
            ),
            Endpoint(
                "GET",
                "/readyz",
                self.ready,
                summary="Tell whether requests can be served",
                tags=("health",),
                answers={200: HealthAnswer},
                refusals=(_NOT_READY,),
            ),
        )

    async def alive(self, _request: Request) -> Answer:
        """Answer."""
        return Answer(200, HealthAnswer(status="ok"))

    async def ready(self, _request: Request) -> Answer:
        """Read the control record and look for the default project's keys."""
        await self._services.keys.reload(at_once=True)
        self._services.keys.ring.active_root(DEFAULT_PROJECT)
        store = self._services.store
        return Answer(
            200,
            HealthAnswer(status="ready", durability=store.durability(), staleness=_shown(store.staleness())),
        )


def _shown(staleness: Staleness | None) -> StalenessView | None:
    if staleness is None:
        return None
    measured = staleness.measured_seconds
    return StalenessView(
        bound_seconds=staleness.bound_seconds,
        feed="heard" if staleness.heard else "silent",
        measured_seconds=None if measured is None else round(measured, 3),
    )
