"""What may be changed of a session while it lives: what its client is called, its metadata, its absolute limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec
from msgspec import UNSET, UnsetType

from sessiond.domain.documents import merged, metadata_fault
from sessiond.domain.errors import InvalidRequest, StateConflict
from sessiond.domain.impersonation import check_own
from sessiond.domain.instants import Instant, later
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session, SessionKind

NOT_EXTENDABLE = StateConflict(
    "session_not_extendable",
    "Only a session with native tokens is extended: create another one.",
)
"""A cookie, and the tokens of the other dialects, carry the limit that they were born with."""


class InvalidMetadata(InvalidRequest):
    """The metadata, as patched, cannot be kept."""

    def __init__(self, fault: str) -> None:
        error = {"pointer": "/metadata", "detail": fault}
        super().__init__("invalid_metadata", f"The metadata, as patched, {fault}.", {"errors": [error]})


def patched(
    session: Session,
    *,
    name: str | UnsetType | None = UNSET,
    metadata: Mapping[str, object] | UnsetType | None = UNSET,
) -> Session:
    """Return the session with a merge patch applied (RFC 7396); what is `UNSET` stays.

    Raises `InvalidMetadata`.
    """
    if name is not UNSET:
        session = session.renamed(name)
    if metadata is UNSET:
        return session
    kept = {} if metadata is None else merged(session.metadata, metadata)
    fault = metadata_fault(kept)
    if fault is not None:
        raise InvalidMetadata(fault)
    return msgspec.structs.replace(session, metadata=kept)


def extended(session: Session, lifetime: timedelta | None, *, policy: Policy, now: Instant) -> Session:
    """Return the session living for *lifetime* from *now* (None: as long as may be), never less than it would.

    It never passes the policy's absolute limit, counted from its creation. Raises `NOT_EXTENDABLE`, and `IMPERSONATED`.
    """
    check_own(session)
    if session.session_kind is not SessionKind.TOKENS:
        raise NOT_EXTENDABLE
    limit = later(session.created_at, policy.absolute_timeout)
    asked = limit if lifetime is None else min(limit, later(now, lifetime))
    return msgspec.structs.replace(session, expires_at=max(session.expires_at, asked))
