"""Strict reading: base64url and JSON as we write them, one text per value. `ValueError` is the only error.

Refused beyond what the standard library refuses: padding and spare bits (RFC 4648 section 3.5), members
that occur twice (RFC 8259 section 4 leaves them open), fractions, exponents, NaN, negative and long
integers, lone surrogates, nesting.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import NoReturn

from sessiond.domain.documents import MOST_DIGITS


def octets(segment: str) -> bytes:
    """Return the bytes of base64url without padding; *segment* is known to have no other characters."""
    decoded = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise ValueError("the segment has another text too")
    return decoded


def members(document: bytes) -> Mapping[str, object]:
    """Return the members of a JSON object in UTF-8; its numbers are integers from 0 to 15 digits."""
    text = document.decode("utf-8")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  one error for every text that is refused
    if "\\u" in text:  # an escape may be half of a surrogate pair, which UTF-8 cannot say
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS or digits.startswith("-"):
        raise ValueError("no integer of ours")
    return int(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"no number of ours: {number[:20]}")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
)
