"""What goes into the vault and what comes out, between it and its callers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.vault import VaultEntry, is_valid, preview


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be kept for *user*."""

    user: SubjectId
    token: Secret
    expires_at: Instant


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it may be listed; *valid* as of when it was read."""

    id: str
    user: SubjectId
    preview: str
    expires_at: Instant
    valid: bool
    saved_at: Instant
    created_at: Instant


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its full token; that it was read is in the events."""

    id: str
    user: SubjectId
    token: Secret
    expires_at: Instant
    valid: bool
    saved_at: Instant


class Validity(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is a valid token, and for how long; *expires_at* None: there is none at all."""

    valid: bool = False
    expires_at: Instant | None = None
    seconds_remaining: int = 0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the entries, and how many there are."""

    entries: Sequence[Shown] = ()
    total: int = 0


def as_shown(entry: VaultEntry, shown: str, now: Instant) -> Shown:
    """Return *entry* as it may be listed, *shown* of its token."""
    return Shown(
        id=entry.id,
        user=entry.user,
        preview=shown,
        expires_at=entry.expires_at,
        valid=is_valid(entry.expires_at, now),
        saved_at=entry.saved_at,
        created_at=entry.created_at,
    )


def as_saved(new: NewToken, entry: str, now: Instant) -> Shown:
    """Return what the create of *entry* from *new* answers, the first time and at every retry."""
    return Shown(
        id=entry,
        user=new.user,
        preview=preview(new.token.reveal()),
        expires_at=new.expires_at,
        valid=True,
        saved_at=now,
        created_at=now,
    )
