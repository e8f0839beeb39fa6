"""The vault: other services' tokens, kept sealed for a user. What an entry is, what of it may be shown, and the cap.

An entry says when its token ends; from then on it is listed as no longer valid, until it is purged.
"""

from __future__ import annotations

import re
from typing import ClassVar, NewType

import msgspec

from sessiond.domain.errors import InvalidRequest, NotFound
from sessiond.domain.ids import Partition, ProjectId, SubjectId, acceptable_subject_id
from sessiond.domain.instants import Instant, parse_rfc3339
from sessiond.domain.records import Key, Kind, Record

EntryId = NewType("EntryId", str)
"""`store_`, 3 hexadecimal digits of the partition, 32 of randomness: an id alone tells where its entry lies."""

ENTRY_ENTROPY = 16
"""How many bytes of entropy an entry's id takes."""

LONGEST_TOKEN = 16 * 1024
"""Bytes of UTF-8 that a token may have."""

_CAP = b"vault|"
_ENTRY_ID = re.compile(r"store_([0-9a-f]{3})[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

ENTRY_UNKNOWN = NotFound("entry_unknown", "There is no such entry in secure storage.")
"""Unknown, deleted and another's look the same."""


class Boxes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An entry's token and its preview, each sealed for itself under the data key *key_id*."""

    key_id: str
    token: bytes
    preview: bytes


class VaultEntry(Record, frozen=True, kw_only=True, gc=False):
    """A token of another service, sealed. Each version is sealed anew: the boxes open for this version only.

    *kept_until* is when it may be purged.
    """

    kind: ClassVar[Kind] = Kind.VAULT_ENTRY
    id: EntryId
    project: ProjectId
    user: SubjectId
    boxes: Boxes
    expires_at: Instant
    kept_until: Instant
    saved_at: Instant
    created_at: Instant

    @property
    def key(self) -> Key:
        return entry_key(self.project, self.id)

    @property
    def owner(self) -> str | None:
        return self.user

    @property
    def sorted_at(self) -> Instant:
        return self.saved_at

    @property
    def expires_at_or_none(self) -> Instant | None:
        return self.expires_at

    @property
    def purge_at(self) -> Instant | None:
        return self.kept_until


def mint_entry_id(partition: Partition, entropy: bytes) -> EntryId:
    """Return a new id in *partition* from 16 bytes of *entropy*."""
    if len(entropy) != ENTRY_ENTROPY:
        raise ValueError("an entry's id takes 16 bytes of entropy")
    return EntryId(f"store_{partition:03x}{entropy.hex()}")


def parse_entry_id(text: str) -> EntryId | None:
    """Return *text* as an entry's id, or None when it cannot be one."""
    return EntryId(text) if _ENTRY_ID.fullmatch(text) else None


def entry_key(project: ProjectId, entry: EntryId) -> Key:
    """Return the key of an entry; its partition is in its id."""
    return Key(Kind.VAULT_ENTRY, Partition(int(entry[6:9], 16)), project, entry.encode())


def cap_key(project: ProjectId, user: SubjectId, partition: Partition) -> Key:
    """Return the key of the record that guards how many entries *user* may have; it lies with them."""
    return Key(Kind.TALLY, partition, project, _CAP + user.encode())


def is_valid(expires_at: Instant, now: Instant) -> bool:
    """Tell whether a token that ends at *expires_at* is still valid *now*."""
    return now < expires_at


def seconds_remaining(expires_at: Instant, now: Instant) -> int:
    """Return the whole seconds, rounded up, for which the token is still valid; 0 when it is not."""
    return max(0, -((now - expires_at) // 1000))


def preview(token: str) -> str:
    """Return what may be shown of *token*: its first 8 and last 4 characters; of a short one at most its last 2.

    Never more than a quarter of a token under 24 characters, so that one of two characters shows none.
    """
    if len(token) >= 24:  # noqa: PLR2004  the contract's number: half of the token stays unseen
        return f"{token[:8]}...{token[-4:]}"
    shown = min(2, len(token) // 4)
    return "..." + token[len(token) - shown :]


def stay_beside_one_more(cap: int) -> int:
    """Return how many of a user's newest entries stay when one more is saved; the older ones go."""
    return cap - 1


def check_token(text: str) -> str:
    """Return *text* if it can be kept, or raise `InvalidRequest` (`invalid_token_text`)."""
    if text and not _CONTROL.search(text):
        try:
            if len(text.encode()) <= LONGEST_TOKEN:
                return text
        except UnicodeEncodeError:
            pass
    raise InvalidRequest(
        "invalid_token_text",
        f"The token must be text without control characters, of 1 to {LONGEST_TOKEN} bytes.",
    )


def check_user(text: str) -> SubjectId:
    """Return *text* as a user's id, or raise `InvalidRequest` (`invalid_user_id`)."""
    if not acceptable_subject_id(text):
        raise InvalidRequest(
            "invalid_user_id", "The user_id must have 1 to 256 bytes and no control characters."
        )
    return SubjectId(text)


def check_expiry(text: str) -> Instant:
    """Return the instant that *text* names, or raise `InvalidRequest` (`invalid_expires_at`)."""
    instant = parse_rfc3339(text)
    if instant is None:
        raise InvalidRequest(
            "invalid_expires_at", "expires_at must be RFC 3339 with an offset, such as 2026-03-26T11:00:00Z."
        )
    return instant


def require_future(expires_at: Instant, now: Instant) -> None:
    """Raise `InvalidRequest` (`expires_at_past`) unless *expires_at* lies after *now*."""
    if not is_valid(expires_at, now):
        raise InvalidRequest("expires_at_past", "expires_at must lie in the future.")
