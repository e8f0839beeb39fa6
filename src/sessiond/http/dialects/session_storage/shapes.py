"""What the vault's endpoints are asked and what they answer, members in the order of the document."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sessiond.domain.instants import rfc3339_seconds
from sessiond.domain.vault import LONGEST_TOKEN
from sessiond.services.vault.answers import Opened, Shown, Validity

CLEARED = "All session tokens cleared from secure storage"

UserId = Annotated[str, msgspec.Meta(description="1 to 256 bytes without control characters.")]
Token = Annotated[str, msgspec.Meta(description=f"1 to {LONGEST_TOKEN} bytes without control characters.")]
ExpiresAt = Annotated[str, msgspec.Meta(description="RFC 3339 with an offset, after now.")]


# -- what is asked ----------------------------------------------------------------------------------------------


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries to list. A user's session sees its own only."""

    page: Annotated[int, msgspec.Meta(ge=1)] = 1
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    user_id: str | None = None
    is_valid: bool | None = None


class UserQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose entries are meant, for callers that speak for the whole project; without it everybody's."""

    user_id: str | None = None


class SaveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to be kept."""

    user_id: UserId
    token: Token
    expires_at: ExpiresAt


class ReplaceRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What takes the place of an entry's token. *user_id* may be sent, and must be the entry's."""

    token: Token
    expires_at: ExpiresAt
    user_id: UserId | None = None


# -- what is answered -------------------------------------------------------------------------------------------


class EntryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry without its token."""

    id: str
    user_id: str
    token_preview: str
    expires_at: str
    is_valid: bool
    saved_at: str


class SavedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The entry that was created."""

    id: str
    user_id: str
    token_preview: str
    expires_at: str
    is_valid: bool
    saved_at: str
    created_at: str


class OpenedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its full token."""

    id: str
    user_id: str
    token: str
    expires_at: str
    is_valid: bool
    saved_at: str


class CurrentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The valid token that was saved last."""

    token: str
    expires_at: str
    is_valid: bool


class ValidityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether there is a valid token, and for how long."""

    is_valid: bool
    expires_at: str | None
    seconds_remaining: int


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """Which page this is, and how many entries there are on all."""

    page: int
    limit: int
    total: int


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of entries, newest first."""

    data: list[EntryAnswer]
    pagination: Pagination


class ClearedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything within the caller's reach is gone."""

    cleared: Literal[True] = True
    message: str = CLEARED


class DeletedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The entry is gone."""

    deleted: Literal[True] = True
    id: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: a stable code, and a sentence."""

    code: str
    message: str


class FailureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How this dialect says no."""

    error: Failure


# -- from one to the other --------------------------------------------------------------------------------------


def entry_answer(entry: Shown) -> EntryAnswer:
    """Return *entry* as lists and replacements show it."""
    return EntryAnswer(
        id=entry.id,
        user_id=entry.user,
        token_preview=entry.preview,
        expires_at=rfc3339_seconds(entry.expires_at),
        is_valid=entry.valid,
        saved_at=rfc3339_seconds(entry.saved_at),
    )


def saved_answer(entry: Shown) -> SavedAnswer:
    """Return *entry* as its creation shows it."""
    return SavedAnswer(
        id=entry.id,
        user_id=entry.user,
        token_preview=entry.preview,
        expires_at=rfc3339_seconds(entry.expires_at),
        is_valid=entry.valid,
        saved_at=rfc3339_seconds(entry.saved_at),
        created_at=rfc3339_seconds(entry.created_at),
    )


def opened_answer(entry: Opened) -> OpenedAnswer:
    """Return *entry* with its full token."""
    return OpenedAnswer(
        id=entry.id,
        user_id=entry.user,
        token=entry.token.reveal(),
        expires_at=rfc3339_seconds(entry.expires_at),
        is_valid=entry.valid,
        saved_at=rfc3339_seconds(entry.saved_at),
    )


def current_answer(entry: Opened) -> CurrentAnswer:
    """Return the full token of *entry* and little else."""
    return CurrentAnswer(
        token=entry.token.reveal(), expires_at=rfc3339_seconds(entry.expires_at), is_valid=entry.valid
    )


def validity_answer(validity: Validity) -> ValidityAnswer:
    """Return *validity* with its instant as text."""
    ends = validity.expires_at
    return ValidityAnswer(
        is_valid=validity.valid,
        expires_at=None if ends is None else rfc3339_seconds(ends),
        seconds_remaining=validity.seconds_remaining,
    )
