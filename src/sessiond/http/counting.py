"""Counting requests towards rate limits: which endpoints count, by which key, and what their answers say about it.

The headers are those of the present draft (`RateLimit`, `RateLimit-Policy`: draft-ietf-httpapi-ratelimit-headers-10)
and the three of its earlier ones, which most clients read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from sessiond.domain.addresses import network_of
from sessiond.domain.callers import OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.ids import ProjectId, id_text
from sessiond.domain.rate_limits import Quota, RateLimit, RateLimited
from sessiond.http.edge import is_loopback

if TYPE_CHECKING:
    from sessiond.http.request import Request

QUOTA_HEADERS = {
    "RateLimit-Policy": "The limit's name, its requests (q) and its window in seconds (w).",
    "RateLimit": "The limit's name, what is left (r), and the seconds until it is whole again (t).",
    "RateLimit-Limit": "The same as q.",
    "RateLimit-Remaining": "The same as r.",
    "RateLimit-Reset": "The same as t.",
}
"""What an answer says that counts, for the document."""

RATE_LIMITED = RateLimited(
    Quota(
        limit=RateLimit(name="address", most=600, window=timedelta(minutes=1)), remaining=0, reset_seconds=42
    )
)
"""A sample, for the document."""


class Counted(msgspec.Struct, frozen=True, gc=False):
    """A request that counts towards *limit*, as one of *key* in *project*."""

    limit: str
    project: ProjectId
    key: str


Counting = Callable[["Request"], Counted | None]
"""What a request without a server key counts as; None: it does not count. The operator's never do."""


class Quotas(Protocol):
    """What is left of the limits."""

    def limited(self, limit_name: str) -> bool:
        """Tell whether there is such a limit."""
        ...

    async def take(self, limit_name: str, project: ProjectId, key: str) -> Quota | None:
        """Count one request; None where there is no such limit. Raises `RateLimited` when nothing is left."""
        ...


def by_address(project_of: Callable[[Request], ProjectId | None], limit: str = "address") -> Counting:
    """Return what counts by the client's address, in the project that *project_of* tells.

    Loopback is not told apart: it is this machine's own processes, or a proxy that is not trusted and stands for all.
    """

    def counted(request: Request) -> Counted | None:
        address = request.client_address
        if is_loopback(address):
            return None
        project = project_of(request)
        return None if project is None else Counted(limit, project, network_of(address))

    return counted


def by_session(request: Request) -> Counted | None:
    """Count a request as one of the session that asks."""
    caller = request.caller
    if not isinstance(caller, SubjectCaller):
        return None
    return Counted("session", caller.project, id_text(caller.standing.session.id))


def by_subject(request: Request) -> Counted | None:
    """Count a request towards the same limit as one of the subject: for what gives a session a new id each time."""
    caller = request.caller
    if not isinstance(caller, SubjectCaller):
        return None
    return Counted("session", caller.project, f"subject|{caller.subject}")


def never(_request: Request) -> Counted | None:
    """Count nothing, not even by server key: this is how sessions are verified."""
    return None


def counted_as(request: Request, quotas: Quotas) -> Counted | None:
    """Return what *request* counts as, or None where nothing limits it."""
    endpoint, caller = request.endpoint, request.caller
    if endpoint is None or endpoint.counting is never:
        return None
    if isinstance(caller, ServerCaller) and caller.key_id is not None:
        limited = quotas.limited("server_key")
        return Counted("server_key", caller.project, caller.key_id) if limited else None
    if endpoint.counting is None or isinstance(caller, OperatorCaller):
        return None
    counted = endpoint.counting(request)
    return counted if counted is not None and quotas.limited(counted.limit) else None


async def count(request: Request, counted: Counted, quotas: Quotas) -> None:
    """Count *request* towards its limit and note what is left. Raises `RateLimited`."""
    try:
        request.quota = await quotas.take(counted.limit, counted.project, counted.key)
    except RateLimited as refusal:
        request.quota = refusal.quota
        raise


def quota_headers(quota: Quota) -> Sequence[tuple[str, str]]:
    """Return what an answer says about the limit that its request counted towards."""
    limit, window = quota.limit, int(quota.limit.window.total_seconds())
    return (
        ("RateLimit-Policy", f'"{limit.name}";q={limit.most};w={window}'),
        ("RateLimit", f'"{limit.name}";r={quota.remaining};t={quota.reset_seconds}'),
        ("RateLimit-Limit", str(limit.most)),
        ("RateLimit-Remaining", str(quota.remaining)),
        ("RateLimit-Reset", str(quota.reset_seconds)),
    )
