"""Archives: files of any size sealed in pieces under the wrapping key, in bounded memory.

::

    file  = magic 12 | fingerprint 12 | salt 32 | note | piece …
    note  = nothing after the first magic; after the second, its length u16 and what opens the wrapping key
    piece = AES-256-GCM of at most 1 MiB; all but the last are full
    nonce = number u64 | is it the last u8 | 000;  associated data = everything before the first piece
    key   = HKDF-SHA256(wrapping key, salt, "sessiond|v1|archive")

A piece that was changed, moved, repeated, left out or cut off does not open: its number, or whether it is the last,
is in its nonce. Each archive has a key of its own, so no nonce is used twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sessiond.crypto.sealing import Unsealable

MAGIC = b"sessiond-ar1"
MAGIC_WITH_NOTE = b"sessiond-ar2"
SALT_SIZE = 32
_FINGERPRINT_SIZE = 12
_HEAD_SIZE = len(MAGIC) + _FINGERPRINT_SIZE + SALT_SIZE
_NOTE_LENGTH_SIZE = 2
_PIECE = 1 << 20
_TAG = 16


def seal_archive(
    source: BinaryIO, target: BinaryIO, *, key: bytes, fingerprint: str, salt: bytes, note: bytes = b""
) -> None:
    """Write what *source* holds to *target*, sealed; *salt* is 32 bytes, never used twice.

    *note*, at most 64 KiB, can be read without the key: what opens that, where it does not lie beside the archives.
    """
    if len(salt) != SALT_SIZE or len(fingerprint) != _FINGERPRINT_SIZE:
        raise ValueError("an archive takes a salt of 32 bytes and the fingerprint of its key")
    head = (MAGIC_WITH_NOTE if note else MAGIC) + fingerprint.encode("ascii") + salt
    if note:
        head += len(note).to_bytes(_NOTE_LENGTH_SIZE) + note
    target.write(head)
    box = AESGCM(_derived(key, salt))
    target.writelines(
        box.encrypt(_nonce(number, last=last), piece, head) for number, piece, last in _pieces(source, _PIECE)
    )


def sealed_under(source: BinaryIO) -> tuple[str, bytes] | None:
    """Return the fingerprint of the wrapping key that an archive needs, and its note; None for what is no archive."""
    head, note = _head(source)
    source.seek(0)
    if len(head) < _HEAD_SIZE or not head.startswith((MAGIC, MAGIC_WITH_NOTE)):
        return None
    return head[len(MAGIC) :][:_FINGERPRINT_SIZE].decode("ascii", "replace"), note


def open_archive(source: BinaryIO, target: BinaryIO, *, key: bytes) -> None:
    """Write what the archive *source* holds to *target*. Raises `Unsealable` as soon as a piece does not open."""
    head, _ = _head(source)
    box = AESGCM(_derived(key, head[_HEAD_SIZE - SALT_SIZE : _HEAD_SIZE]))
    for number, piece, last in _pieces(source, _PIECE + _TAG):
        try:
            target.write(box.decrypt(_nonce(number, last=last), piece, head))
        except InvalidTag:
            raise Unsealable("the archive was changed or cut off, or another key sealed it") from None


def _head(source: BinaryIO) -> tuple[bytes, bytes]:
    """Return everything before the first piece, and the note in it."""
    head, note = source.read(_HEAD_SIZE), b""
    if head.startswith(MAGIC_WITH_NOTE):
        length = source.read(_NOTE_LENGTH_SIZE)
        note = source.read(int.from_bytes(length))
        head += length + note
    return head, note


def _pieces(source: BinaryIO, size: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield each piece with its number and whether it is the last; an empty source has one, empty."""
    number, piece = 0, source.read(size)
    while True:
        following = source.read(size)
        yield number, piece, not following
        if not following:
            return
        number, piece = number + 1, following


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(8) + bytes([last]) + b"\0\0\0"


def _derived(key: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"sessiond|v1|archive").derive(key)
