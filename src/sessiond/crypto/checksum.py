"""The six characters at the end of our token texts: typing errors are refused before any key is touched.

CRC-32 of the text before, as 4 bytes and 2 zero bytes, base64url, the first 6 characters; compared as text. They are
those of the 4 bytes alone: base64 fills up with zero bits.
It guards against accidents and lets scanners recognise a leaked token; it is no protection.
"""

from __future__ import annotations

from binascii import b2a_base64
from zlib import crc32

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Base64url, RFC 4648 section 5."""

CHECK_LENGTH = 6

_TO_URL = bytes.maketrans(b"+/", b"-_")


def checksum(text: bytes) -> bytes:
    """Return the check of *text*."""
    return b2a_base64(crc32(text).to_bytes(4), newline=False)[:CHECK_LENGTH].translate(_TO_URL)
