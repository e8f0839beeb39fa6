"""Opaque tokens: 91 characters that name a session, its generation and its key, under a MAC.

::

    body = kid u32 | session 16 | nonce 16 | generation u32 | exp u32          44 bytes, big-endian
    tag  = HMAC-SHA256(key, prefix | body), the first 16 bytes
    text = prefix 5 | base64url(body | tag) 80 | check 6

60 is a multiple of 3: no padding, no spare bits, one text per value. The prefix is under the MAC. Nothing is
trimmed, case counts.
"""

from __future__ import annotations

import enum
from binascii import a2b_base64, b2a_base64
from struct import Struct as Layout
from typing import Any

import msgspec

from sessiond.crypto.checksum import ALPHABET, CHECK_LENGTH, checksum
from sessiond.crypto.macs import TAG_SIZE, Mac
from sessiond.crypto.purposes import Purpose
from sessiond.domain.ids import SessionId

TOKEN_LENGTH = 91
ID_SIZE = 16
NONCE_SIZE = 16

_PREFIX = 5
_END = TOKEN_LENGTH - CHECK_LENGTH
_BODY = Layout(">I16s16sII")
_BOX = Layout(">I16s16sII16s")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")


class TokenKind(enum.StrEnum):
    """What an opaque token is good for; the value is its prefix: `sd`, the kind, the version, `_`."""

    ACCESS = "sda1_"
    REFRESH = "sdr1_"
    BROWSER = "sdb1_"
    STACK_REFRESH = "sds1_"

    @property
    def purpose(self) -> Purpose:
        """The purpose of the key that the kind's tokens are authenticated with."""
        return PURPOSES[self]


PURPOSES = {
    TokenKind.ACCESS: Purpose.ACCESS,
    TokenKind.REFRESH: Purpose.REFRESH,
    TokenKind.BROWSER: Purpose.BROWSER,
    TokenKind.STACK_REFRESH: Purpose.REFRESH_STACK,
}
"""The purpose of the key that a kind's tokens are authenticated with."""

_KINDS = {kind.value: kind for kind in TokenKind}


class Opaque(msgspec.Struct, frozen=True, gc=False):
    """What an opaque token says, before its MAC is checked: nothing here is true until `Mint.made` says so.

    *exp* is in Unix seconds. *body* is what the MAC is computed over after the prefix, *tag* the MAC.
    """

    kind: TokenKind
    kid: int
    session: SessionId
    nonce: bytes
    generation: int
    exp: int
    body: bytes
    tag: bytes

    def __repr__(self) -> str:
        return f"Opaque(kind={self.kind.name}, kid={self.kid}, session={self.session.hex()}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kind", self.kind), ("kid", self.kid), ("session", self.session.hex())]


class Mint:
    """Mints the tokens of one kind under the root *kid*, and knows them again; *key* is of the kind's purpose there."""

    __slots__ = ("_kid", "_mac", "_prefix")

    def __init__(self, kind: TokenKind, kid: int, key: bytes) -> None:
        self._kid = kid
        self._prefix = kind.value.encode()
        self._mac = Mac(key, self._prefix)

    def token(self, *, session: SessionId, nonce: bytes, generation: int, exp: int) -> str:
        """Return the token's text; *exp* is in Unix seconds."""
        if len(session) != ID_SIZE or len(nonce) != NONCE_SIZE:
            raise ValueError("session id and nonce are 16 bytes each")
        body = _BODY.pack(self._kid, session, nonce, generation, exp)
        text = self._prefix + b2a_base64(body + self._mac.tag(body), newline=False).translate(_TO_URL)
        return (text + checksum(text)).decode()

    def made(self, token: Opaque) -> bool:
        """Tell whether *token* was minted here."""
        return self._mac.matches(token.body, token.tag)


def parse(text: str) -> Opaque | None:
    """Return what *text* says, or None when it is no opaque token; never raises.

    Length, prefix, alphabet and check are looked at before anything is decoded.
    """
    if len(text) != TOKEN_LENGTH or not text.isascii():
        return None
    kind = _KINDS.get(text[:_PREFIX])
    raw = text.encode()
    if kind is None or raw.translate(None, ALPHABET) or checksum(raw[:_END]) != raw[_END:]:
        return None
    box = a2b_base64(raw[_PREFIX:_END].translate(_FROM_URL))
    kid, session, nonce, generation, exp, tag = _BOX.unpack(box)
    return Opaque(kind, kid, session, nonce, generation, exp, box[:-TAG_SIZE], tag)
