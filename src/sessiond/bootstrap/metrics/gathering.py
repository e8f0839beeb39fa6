"""What this process has counted, and what is true of the deployment: read from wherever it is kept, when asked."""

from __future__ import annotations

import asyncio
import platform

import sessiond
from sessiond.bootstrap.metrics import families
from sessiond.bootstrap.metrics.readings import Readings
from sessiond.bootstrap.opening import Opened
from sessiond.crypto.ring import KeyRing
from sessiond.domain.audit_chain import Lease, lease_key
from sessiond.domain.errors import Unavailable
from sessiond.domain.instants import Instant
from sessiond.domain.keys import KeyState
from sessiond.http.app import App
from sessiond.http.operation_counts import OTHER_METHOD
from sessiond.services.measures import BatchMeasures

_NO_PATH = "-"
_MS = 1000
_PATIENCE_SECONDS = 2.0
"""How long the store may take: Prometheus waits ten seconds for all of it, unless told otherwise."""

_COUNTED = {
    "verify_peeked": (families.VERIFIES, ("memory",)),
    "verify": (families.VERIFIES, ("store",)),
    "refresh": (families.REFRESHES, ("current",)),
    "refresh_twin": (families.REFRESHES, ("previous",)),
    "pin_throttled": (families.PIN_THROTTLED, ()),
    "claim_left_out": (families.CLAIMS_LEFT_OUT, ()),
}
"""What services count, and as what it is shown."""


def read_process(opened: Opened, app: App) -> Readings:
    """Return what this process has counted since it started, and what it does now."""
    readings = Readings()
    _note_requests(readings, app)
    for code, count in list(app.refusals.items()):
        readings.note(families.REFUSALS, count, code)
    _note_services(readings, opened)
    _note_store(readings, opened)
    readings.note(families.WORKERS, 1)
    return readings


def _note_requests(readings: Readings, app: App) -> None:
    readings.note(families.IN_FLIGHT, app.in_flight)
    readings.note(families.CONNECTIONS, len(app.connections))
    places = {place.template: place for place in app.router.places}
    for operation in app.access_log.operations:
        place, method = places.get(operation.path), operation.method
        if place is None or method not in place.allowed:
            method = OTHER_METHOD  # so that nobody makes as many of them as there are paths and methods
        dialect = _NO_PATH if place is None else next(iter(place.routes.values())).dialect.name
        labels = (dialect, method, operation.path)
        count = sum(operation.durations.counts)
        readings.note(families.REQUESTS, count, *labels, str(operation.status))
        readings.note_durations(families.REQUEST_DURATION, operation.durations, *labels)


def _note_services(readings: Readings, opened: Opened) -> None:
    counts, services = opened.counters.counts, opened.services
    for what, (family, labels) in _COUNTED.items():
        readings.note(family, counts[what], *labels)
    for attempt, count in list(services.refused_attempts.totals.items()):
        readings.note(families.ATTEMPTS, count, attempt.value)
    for (limit, allowed), count in list(services.rate_limits.decisions.items()):
        readings.note(families.LIMITED, count, limit, "allowed" if allowed else "refused")
    for event, count in list(services.sealer.sealed.items()):
        readings.note(families.EVENTS, count, event.value)


def _note_store(readings: Readings, opened: Opened) -> None:
    measures, staleness = opened.store.measures(), opened.store.staleness()
    if measures.writes is not None:
        _note_batches(readings, measures.writes, "write")
    if measures.reads is not None:
        _note_batches(readings, measures.reads, "read")
    if measures.sessions_known is not None:
        readings.note(families.SESSIONS_KNOWN, measures.sessions_known)
    if staleness is not None:
        readings.note(families.FEEDS_SILENT, 0 if staleness.heard else 1)
        readings.note(families.FEED_BOUND, staleness.bound_seconds)
        if staleness.measured_seconds is not None:
            readings.note(families.FEED_AGE, staleness.measured_seconds)


def _note_batches(readings: Readings, batches: BatchMeasures, kind: str) -> None:
    readings.note_durations(families.BATCH_DURATION, batches.durations, kind)
    readings.note(families.OPERATIONS, batches.operations, kind)
    readings.note(families.WAITING, batches.waiting, kind)


async def note_deployment(readings: Readings, opened: Opened) -> None:
    """Add what is true of the whole deployment, whichever process is asked, as far as the store tells."""
    engine = opened.settings.database_url.partition(":")[0]
    readings.note(families.BUILD, 1, sessiond.__version__, platform.python_version(), engine)
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            lease = await opened.store.get(lease_key())
    except (Unavailable, TimeoutError):
        readings.note(families.STORE_UP, 0)
    else:
        readings.note(families.STORE_UP, 1)
        if isinstance(lease, Lease) and lease.sealed_until:
            readings.note(families.SEALED_UNTIL, lease.sealed_until / _MS)


def read_keys(ring: KeyRing) -> Readings:
    """Return what there is to say of the keys of *ring*."""
    readings, oldest = Readings(), dict[str, Instant]()
    for key in ring.held():
        kind = key.line.kind.value
        readings.note(families.KEYS, 1, kind, key.state.value)
        if key.state is KeyState.ACTIVE and key.activated_at is not None:
            oldest[kind] = min(key.activated_at, oldest.get(kind, key.activated_at))
    for kind, instant in oldest.items():
        readings.note(families.OLDEST_KEY, instant / _MS, kind)
    if ring.next_activation is not None:
        readings.note(families.NEXT_KEY, ring.next_activation / _MS)
    return readings
