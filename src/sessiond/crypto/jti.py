"""The `jti` of our JWTs ties the token to its session's row: a stolen signing key alone does not pass here.

r (8 random bytes) | the tag of (session id | nonce | generation u32 | r); base64url, 32 characters. The nonce is in
the row only, so this is checked after the row was read.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from sessiond.crypto import macs
from sessiond.domain.ids import SessionId

_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")
_RANDOM = 8
_LAST_GENERATION = 2**32 - 1


def mint_jti(key: bytes, *, session: SessionId, nonce: bytes, generation: int, entropy8: bytes) -> str:
    """Return a new `jti` from 8 bytes of entropy; *key* is that of the purpose `jti`."""
    if len(entropy8) != _RANDOM:
        raise ValueError("a jti is made of 8 bytes")
    tag = macs.tag(key, _bound(session, nonce, generation, entropy8))
    return urlsafe_b64encode(entropy8 + tag).decode()


def authentic_jti(key: bytes, text: str, *, session: SessionId, nonce: bytes, generation: int) -> bool:
    """Tell whether *text* was minted with *key* for this session and generation; never raises."""
    if _SHAPE.fullmatch(text) is None or not 0 <= generation <= _LAST_GENERATION:
        return False
    box = urlsafe_b64decode(text)
    return macs.matches(key, _bound(session, nonce, generation, box[:_RANDOM]), box[_RANDOM:])


def _bound(session: SessionId, nonce: bytes, generation: int, random: bytes) -> bytes:
    return session + nonce + generation.to_bytes(4) + random
