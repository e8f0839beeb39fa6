"""Ids: UUIDv7 whose `rand_a` carries the partition of (project, subject). Ids are no secrets.

Layout (RFC 9562 section 5.7): 48 bits of Unix milliseconds, version 7, 12 bits `rand_a` (our partition), variant,
62 bits `rand_b`. Time-ordered, so that inserts are; the partition inside, so that a token alone finds its slot.
"""

from __future__ import annotations

import re
from struct import Struct as Layout
from typing import NewType
from uuid import UUID

from sessiond.domain.instants import Instant

PARTITIONS = 4096
LONGEST_SUBJECT_ID = 256
_LAYOUT = Layout(">QB7s")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SUBJECT_FAULT = f"is not 1 to {LONGEST_SUBJECT_ID} bytes of UTF-8 without control characters"

SessionId = NewType("SessionId", bytes)
"""The 16 bytes of a session's UUIDv7."""

ProjectId = NewType("ProjectId", str)
"""A project's UUID in its canonical lower-case text."""

SubjectId = NewType("SubjectId", str)
"""1 to 256 bytes of UTF-8 without control characters."""

Partition = NewType("Partition", int)
"""0 to 4095: the first 12 bits of a keyed hash of (project, subject)."""

DEFAULT_PROJECT = ProjectId("00000000-0000-4000-8000-000000000001")


def mint_id(*, now: Instant, partition: Partition, entropy: bytes) -> SessionId:
    """Return a UUIDv7 born *now* in *partition*; *entropy* is 8 bytes from the operating system, 62 bits are used."""
    head = (now << 16) | 0x7000 | partition
    return SessionId(_LAYOUT.pack(head, 0x80 | entropy[0] & 0x3F, entropy[1:]))


def partition_of(identifier: bytes) -> Partition:
    """Return the partition that the 16 bytes of *identifier* carry."""
    return Partition(((identifier[6] & 0x0F) << 8) | identifier[7])


def instant_of(identifier: bytes) -> Instant:
    """Return when the UUIDv7 *identifier* was made."""
    return int.from_bytes(identifier[:6])


def lowest_id(instant: Instant) -> SessionId:
    """Return the 16 bytes below which all ids are that were made before *instant*."""
    return SessionId(max(0, instant).to_bytes(6) + bytes(10))


def id_text(identifier: bytes) -> str:
    """Return the canonical UUID text of 16 bytes."""
    return f"{identifier[:4].hex()}-{identifier[4:10].hex('-', 2)}-{identifier[10:].hex()}"


def parse_id(text: str) -> SessionId | None:
    """Return the 16 bytes of a canonical UUID text (any case), or None for anything else."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return SessionId(parsed.bytes) if str(parsed) == text.lower() else None


def parse_project_id(text: str) -> ProjectId | None:
    """Return *text* as a project id in canonical form, or None when it is no UUID."""
    parsed = parse_id(text)
    return ProjectId(id_text(parsed)) if parsed is not None else None


def subject_id_fault(text: str) -> str | None:
    """Return why *text* cannot name a subject, or None. A surrogate is no UTF-8."""
    if not text or (not text.isprintable() and _CONTROL.search(text)):
        return _SUBJECT_FAULT
    try:
        return None if len(text.encode()) <= LONGEST_SUBJECT_ID else _SUBJECT_FAULT
    except UnicodeEncodeError:
        return _SUBJECT_FAULT


def acceptable_subject_id(text: str) -> bool:
    """Tell whether *text* may name a subject: 1 to 256 bytes of UTF-8, no control characters, no surrogates."""
    return subject_id_fault(text) is None
