"""Random secrets (server keys, master token, one-time codes), and the wrapper that keeps any secret unseen.

A minted secret is a prefix, base64url of 32 random bytes (43 characters) and the 6 characters of the check.
Only a keyed hash of it is stored (`KeyRing.lookup`).
"""

from __future__ import annotations

import enum
import hmac
import re
from base64 import urlsafe_b64encode
from typing import NoReturn

from sessiond.crypto.checksum import CHECK_LENGTH, checksum
from sessiond.crypto.purposes import KEY_SIZE

# 32 bytes leave two spare bits in the last character, which must be zero: one text per value.
_SHAPE = re.compile(r"sd[kmx]1_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048][A-Za-z0-9_-]{6}")


class SecretKind(enum.StrEnum):
    """What a random secret opens; the value is its prefix."""

    SERVER_KEY = "sdk1_"
    MASTER_TOKEN = "sdm1_"
    CODE = "sdx1_"


_PREFIXES = tuple(kind.value for kind in SecretKind)


class Secret:
    """A secret text on its way between layers. It prints as nothing; `reveal` is called once, at the edge."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._value), _octets(other._value))

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "Secret(…)"

    def __format__(self, format_spec: str) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialized")


def mint_secret(kind: SecretKind, entropy: bytes) -> str:
    """Return a new secret of *kind* from 32 bytes of *entropy*."""
    if len(entropy) != KEY_SIZE:
        raise ValueError("a secret is made of 32 bytes")
    text = kind.value.encode() + urlsafe_b64encode(entropy).rstrip(b"=")
    return (text + checksum(text)).decode()


def acceptable_secret(text: str) -> bool:
    """Tell whether *text* has the shape of a minted secret, its check included."""
    if _SHAPE.fullmatch(text) is None:
        return False
    raw = text.encode()
    return checksum(raw[:-CHECK_LENGTH]) == raw[-CHECK_LENGTH:]


def mistyped_secret(text: str) -> bool:
    """Tell whether *text* begins as a minted secret does and is none: its check does not fit."""
    return text.startswith(_PREFIXES) and not acceptable_secret(text)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
