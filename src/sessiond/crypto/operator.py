"""Operator tokens: `session:` exp `:` 104 hexadecimal digits, for the operator's own sessions.

The digits are kid u32 | session id 16 | nonce 16 | tag 16, in lower case. The tag covers the text before
the digits and the 36 bytes; its key depends on the master token's generation (`KeyRing.key` with it as
suffix), so that a rotated master token ends what the former one opened.
"""

from __future__ import annotations

import re
from struct import Struct as Layout
from typing import Any

import msgspec

from sessiond.crypto import macs
from sessiond.crypto.macs import TAG_SIZE
from sessiond.crypto.tokens import ID_SIZE, NONCE_SIZE
from sessiond.domain.ids import SessionId

OPERATOR_PREFIX = "session:"

_SHAPE = re.compile(r"(session:([1-9][0-9]{9}):)([0-9a-f]{104})")
_BODY = Layout(">I16s16s")


class OperatorToken(msgspec.Struct, frozen=True, gc=False):
    """What an operator token says, before its MAC is checked. *exp*, in Unix seconds, equals its row's."""

    kid: int
    session: SessionId
    nonce: bytes
    exp: int
    signed: bytes
    tag: bytes

    def __repr__(self) -> str:
        return f"OperatorToken(kid={self.kid}, session={self.session.hex()}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kid", self.kid), ("session", self.session.hex())]


def mint(key: bytes, *, kid: int, session: SessionId, nonce: bytes, exp: int) -> str:
    """Return the token's text; *exp* in Unix seconds, ten digits."""
    if len(session) != ID_SIZE or len(nonce) != NONCE_SIZE or not 10**9 <= exp < 10**10:
        raise ValueError("session id and nonce are 16 bytes each, exp has ten digits")
    head = f"{OPERATOR_PREFIX}{exp}:"
    body = _BODY.pack(kid, session, nonce)
    return head + (body + macs.tag(key, head.encode() + body)).hex()


def parse(text: str) -> OperatorToken | None:
    """Return what *text* says, or None when it is no operator token; never raises."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return None
    head, exp, digits = shape.groups()
    box = bytes.fromhex(digits)
    kid, session, nonce = _BODY.unpack_from(box)
    return OperatorToken(kid, session, nonce, int(exp), head.encode() + box[:-TAG_SIZE], box[-TAG_SIZE:])


def authentic(token: OperatorToken, key: bytes) -> bool:
    """Tell whether *token* was minted with *key*."""
    return macs.matches(key, token.signed, token.tag)
