"""What the dispatcher itself refuses, in the tree of `domain.errors`, and the status of every refusal.

::

    InvalidRequest
    ├── MethodNotAllowed          405; says which methods the path has
    ├── BodyTooLarge              413
    ├── UnsupportedMediaType      415; says which types are taken
    ├── MalformedBody             400; no JSON, a duplicate member, not UTF-8
    │   └── EmptyBody             400; a body is needed and there is none
    └── InvalidMembers            400; JSON of a wrong shape; lists every fault with a JSON pointer
    Forbidden
    └── CrossSite                 403; a browser sent it from another site
    NotFound
    └── UnknownPath               404
    StateConflict
    └── PreconditionFailed        412; `If-Match` names another state than the present one
    Refusal
    └── Defect                    500; a fault of ours that nobody foresaw

A dialect may catch any of them by class in its `refuse` and choose another status or text.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.domain.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    Refusal,
    StateConflict,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from sessiond.domain.replays import IdempotencyKeyReused


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a body or query: where (a JSON pointer, RFC 6901) and what."""

    pointer: str
    detail: str


class MethodNotAllowed(InvalidRequest):
    """The path exists, the method does not."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(
            "method_not_allowed", f"This path answers {', '.join(allowed)} only.", {"allowed": list(allowed)}
        )
        self.allowed = tuple(allowed)


class BodyTooLarge(InvalidRequest):
    """The body is longer than the endpoint takes."""

    def __init__(self, limit: int) -> None:
        super().__init__("body_too_large", f"The body may have at most {limit} bytes.", {"limit": limit})
        self.limit = limit


class UnsupportedMediaType(InvalidRequest):
    """The body's content type is not one that the endpoint takes; *content_type* is what was sent, or None."""

    def __init__(self, content_type: str | None, accepted: Sequence[str]) -> None:
        super().__init__(
            "unsupported_media_type",
            f"Send the body as {' or '.join(accepted)}, in UTF-8 and not compressed.",
            {"accepted": list(accepted)},
        )
        self.content_type = content_type
        self.accepted = tuple(accepted)


class MalformedBody(InvalidRequest):
    """The body cannot be read at all; *duplicate* tells whether a member stands in it twice."""

    def __init__(
        self,
        detail: str = "The body is not valid JSON.",
        *,
        code: str = "malformed_body",
        duplicate: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.duplicate = duplicate


class EmptyBody(MalformedBody):
    """A body is needed and there is none."""

    def __init__(self) -> None:
        super().__init__("A body is needed.", code="empty_body")


class InvalidMembers(InvalidRequest):
    """The body or query has a wrong shape; *faults* lists each one that could be told."""

    def __init__(self, faults: Sequence[Fault], *, where: str = "body") -> None:
        super().__init__(
            f"invalid_{where}",
            f"The {where} has a wrong shape: "
            + "; ".join(f"{f.pointer or where}: {f.detail}" for f in faults),
            {"errors": [{"pointer": f.pointer, "detail": f.detail} for f in faults]},
        )
        self.faults = tuple(faults)
        self.where = where


class CrossSite(Forbidden):
    """A browser sent it from another site, or from a page that has no origin."""

    def __init__(self) -> None:
        super().__init__(
            "cross_site",
            "A browser may send this from this server's own pages only (Origin, Sec-Fetch-Site); "
            "behind a proxy set public_url.",
        )


class UnknownPath(NotFound):
    """There is no such path."""

    def __init__(self) -> None:
        super().__init__("unknown_path", "There is no such path.")


class PreconditionFailed(StateConflict):
    """`If-Match` names another state than the present one."""

    def __init__(self) -> None:
        super().__init__("precondition_failed", "It was changed meanwhile: read it again, and decide again.")


class Defect(Refusal):
    """A fault of ours that nobody foresaw; the log has it under the request's id."""

    def __init__(self) -> None:
        super().__init__("internal_error", "The server failed; the log has it under this request's id.")


BAD_HOST = InvalidRequest("bad_host", "Send exactly one Host header, host[:port].")
OVERLOADED = Unavailable("overloaded", "Too many requests at once; try again.")

_STATUSES: dict[type[Refusal], int] = {
    MethodNotAllowed: 405,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    IdempotencyKeyReused: 422,
    InvalidRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    PreconditionFailed: 412,
    StateConflict: 409,
    Throttled: 429,
    Unavailable: 503,
    Refusal: 500,
}


def status_of(refusal: Refusal) -> int:
    """Return the status of *refusal* by its nearest class in the table."""
    for kind in type(refusal).__mro__:
        status = _STATUSES.get(kind)
        if status is not None:
            return status
    return 500
