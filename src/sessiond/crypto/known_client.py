"""The text of a known client: what a browser keeps from a sign-in, so that strangers cannot lock its owner out.

kid u32 | issued u48 (milliseconds) | entropy 4 | tag 16 over (these | subject); base64url, 40 characters. It proves a
former success for one subject and nothing else; it is no token.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from sessiond.crypto import macs
from sessiond.domain.ids import SubjectId
from sessiond.domain.instants import Instant

KNOWN_CLIENT_ENTROPY = 4
"""How many bytes of entropy one text takes."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{40}")
_KID = 4
_HEAD = _KID + 6 + KNOWN_CLIENT_ENTROPY


class KnownClient(msgspec.Struct, frozen=True):
    """What a text says; nothing of it is proved before `authentic`."""

    kid: int
    issued_at: Instant
    head: bytes
    tag: bytes

    def __repr__(self) -> str:
        return f"KnownClient(kid={self.kid}, issued_at={self.issued_at}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kid", self.kid), ("issued_at", self.issued_at)]


def mint(key: bytes, *, kid: int, subject: SubjectId, issued_at: Instant, entropy: bytes) -> str:
    """Return the text for a client of *subject* that succeeded at *issued_at*; *key* is that of `known_client`."""
    if len(entropy) != KNOWN_CLIENT_ENTROPY:
        raise ValueError("a known client is made of 4 bytes")
    head = kid.to_bytes(_KID) + issued_at.to_bytes(6) + entropy
    return urlsafe_b64encode(head + macs.tag(key, head + subject.encode())).decode()


def parse(text: str) -> KnownClient | None:
    """Return what *text* says, or None for anything that was not minted here; never raises on any text."""
    if _SHAPE.fullmatch(text) is None:
        return None
    box = urlsafe_b64decode(text)
    head = box[:_HEAD]
    return KnownClient(
        kid=int.from_bytes(head[:_KID]),
        issued_at=int.from_bytes(head[_KID : _KID + 6]),
        head=head,
        tag=box[_HEAD:],
    )


def authentic(client: KnownClient, key: bytes, subject: SubjectId) -> bool:
    """Tell whether the text was minted with *key* for *subject*."""
    return macs.matches(key, client.head + subject.encode(), client.tag)
