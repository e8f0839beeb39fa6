"""The metrics that there are: each family's name, kind, labels and meaning. `docs/operations/metrics.md` has them all.

No label has a value that comes from a client: paths are templates, codes and types are this program's own words.
"""

from __future__ import annotations

import enum

import msgspec


class Kind(enum.StrEnum):
    """What a family's values are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Join(enum.StrEnum):
    """What one number is made of those of several workers."""

    SUM = "sum"
    GREATEST = "greatest"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. Durations are in seconds, instants in seconds since 1970."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()
    join: Join = Join.SUM


def _counter(name: str, about: str, *labels: str) -> Family:
    return Family(name=f"sessiond_{name}_total", kind=Kind.COUNTER, about=about, labels=labels)


def _gauge(name: str, about: str, *labels: str, join: Join = Join.SUM) -> Family:
    return Family(name=f"sessiond_{name}", kind=Kind.GAUGE, about=about, labels=labels, join=join)


def _histogram(name: str, about: str, *labels: str) -> Family:
    return Family(name=f"sessiond_{name}_seconds", kind=Kind.HISTOGRAM, about=about, labels=labels)


_OPERATION = ("dialect", "method", "path")

REQUESTS = _counter("http_requests", "Requests that were answered.", *_OPERATION, "status")
REQUEST_DURATION = _histogram(
    "http_request_duration",
    "How long requests took, from the end of their head to their answer.",
    *_OPERATION,
)
IN_FLIGHT = _gauge(
    "http_requests_in_flight", "Requests that are being worked on; who asks for this is among them."
)
CONNECTIONS = _gauge("http_connections", "Connections that are open.")
REFUSALS = _counter(
    "refusals", "Requests that were refused, by the code that docs/api/errors.md explains.", "code"
)

VERIFIES = _counter(
    "verifies", "Sessions that were verified: by `memory` alone, or by asking the `store`.", "source"
)
REFRESHES = _counter(
    "refreshes",
    "Refreshes that succeeded, by their token: the `current` one, or the `previous` one within its time.",
    "token",
)
LIMITED = _counter(
    "limited_requests",
    "Requests that counted towards a rate limit, by the limit's name and whether it was `allowed` or `refused`.",
    "limit",
    "outcome",
)
PIN_THROTTLED = _counter(
    "pin_attempts_throttled", "PINs that were not looked at: too many were wrong before."
)
ATTEMPTS = _counter(
    "refused_attempts",
    "Attempts that the audit counts: a wrong `server_key`, `master_token` or `pin`, and `throttled` ones.",
    "attempt",
)
CLAIMS_LEFT_OUT = _counter(
    "claims_left_out", "Claims that were left out of JWTs, as they would have become too long."
)
EVENTS = _counter(
    "events_sealed",
    "Events that this server has sealed into the audit, by type. One server seals for all: the sum is what happened.",
    "type",
)

BATCH_DURATION = _histogram(
    "store_batch_duration",
    "How long the store took for batches: `write` until durable, `read` on PostgreSQL and Redis.",
    "kind",
)
OPERATIONS = _counter(
    "store_operations",
    "Operations that batches were made of; divided by the count of batches, how large these are.",
    "kind",
)
WAITING = _gauge("store_operations_waiting", "Operations that wait for the next batch.", "kind")
SESSIONS_KNOWN = _gauge("memory_sessions", "Sessions that memory holds to answer for.")
STORE_UP = _gauge("store_up", "1 if the store answered when the metrics were read, else 0.")
FEED_AGE = _gauge(
    "feed_age_seconds",
    "How long ago the last heartbeat was sent that the change feed brought back, while there was one.",
    join=Join.GREATEST,
)
FEEDS_SILENT = _gauge(
    "feeds_silent",
    "Processes whose change feed is silent, so that each verify reads the database; only with cache.max_staleness.",
)
FEED_BOUND = _gauge(
    "feed_bound_seconds", "From which age of the feed on memory does not answer.", join=Join.GREATEST
)

SEALED_UNTIL = _gauge(
    "audit_sealed_timestamp_seconds",
    "Up to when all that happened is sealed, as the sealing server last noted.",
)
KEYS = _gauge("keys", "Keys of all projects, by kind and state.", "kind", "state")
OLDEST_KEY = _gauge(
    "key_oldest_active_timestamp_seconds",
    "Since when the oldest key is active that makes tokens, by kind.",
    "kind",
)
NEXT_KEY = _gauge(
    "key_next_activation_timestamp_seconds",
    "When the next key takes over; only while a rotation is under way.",
)

BUILD = _gauge(
    "build_info",
    "Always 1: which sessiond this is, on which Python and engine.",
    "version",
    "python",
    "engine",
)
WORKERS = _gauge(
    "workers", "Processes that serve: that live, and showed what they counted within the last ten seconds."
)
WORKERS_WANTED = _gauge("workers_wanted", "Processes that should serve.")

FAMILIES = (
    REQUESTS,
    REQUEST_DURATION,
    IN_FLIGHT,
    CONNECTIONS,
    REFUSALS,
    VERIFIES,
    REFRESHES,
    LIMITED,
    PIN_THROTTLED,
    ATTEMPTS,
    CLAIMS_LEFT_OUT,
    EVENTS,
    BATCH_DURATION,
    OPERATIONS,
    WAITING,
    SESSIONS_KNOWN,
    STORE_UP,
    FEEDS_SILENT,
    FEED_AGE,
    FEED_BOUND,
    SEALED_UNTIL,
    KEYS,
    OLDEST_KEY,
    NEXT_KEY,
    BUILD,
    WORKERS,
    WORKERS_WANTED,
)
