"""Sealing: AES-256-GCM boxes. version byte | nonce 12 | ciphertext and tag.

The nonce is random; one key seals at most 2^32 boxes (NIST SP 800-38D section 8.3), far above what one
project keeps.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sessiond.domain.errors import SessiondError

SEAL_ENTROPY = 12
"""How many bytes of entropy one box takes."""

_VERSION = b"\x01"
_HEAD = len(_VERSION) + SEAL_ENTROPY
_TAG = 16


class Unsealable(SessiondError):
    """The box does not open: another key, other associated data, another version, or it was changed."""


def seal(key: bytes, plaintext: bytes, *, aad: bytes, entropy: bytes) -> bytes:
    """Return a box that only *key* (32 bytes) with the same *aad* opens.

    *entropy* is 12 bytes, never used twice.
    """
    if len(entropy) != SEAL_ENTROPY:
        raise ValueError("a box takes 12 bytes of entropy")
    return _VERSION + entropy + AESGCM(key).encrypt(entropy, plaintext, _VERSION + aad)


def unseal(key: bytes, box: bytes, *, aad: bytes) -> bytes:
    """Return what is in *box*, or raise `Unsealable`."""
    if len(box) < _HEAD + _TAG or not box.startswith(_VERSION):
        raise Unsealable("the box is of no version that is known here")
    nonce = box[len(_VERSION) : _HEAD]
    try:
        return AESGCM(key).decrypt(nonce, box[_HEAD:], _VERSION + aad)
    except InvalidTag:
        raise Unsealable("the box does not open with this key and associated data") from None
