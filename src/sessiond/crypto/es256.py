"""ES256 keys: the scalar from entropy, the public half as a JWK, signatures without randomness (RFC 6979).

A signature that needs no random number cannot leak the key through a bad one, as after a fork or a snapshot.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from typing import TypedDict

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwa import ESAlgorithm
from joserfc.jwk import ECKey

from sessiond.domain.keys import SigningKey

SCALAR_ENTROPY = 48
"""Bytes to draw for one scalar: 128 bits more than needed, so that the remainder has no bias (FIPS 186-5 A.2.1)."""

_SIZE = 32
_ORDER = ec.SECP256R1.group_order


class PublicJwk(TypedDict):
    """What a JWKS says of an ES256 key, and nothing else."""

    alg: str
    crv: str
    kid: str
    kty: str
    x: str
    y: str


class DeterministicES256(ESAlgorithm):
    """ES256 whose nonce is derived from the key and the message."""

    def __init__(self) -> None:
        super().__init__("ES256", "P-256", 256)

    def sign(self, msg: bytes, key: ECKey) -> bytes:
        """Return r | s, 32 bytes each."""
        der = key.get_op_key("sign").sign(msg, ec.ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(part.to_bytes(_SIZE) for part in decode_dss_signature(der))


def draw_scalar(entropy: bytes) -> bytes:
    """Return a private scalar, 32 bytes, from 48 bytes of *entropy*."""
    if len(entropy) != SCALAR_ENTROPY:
        raise ValueError("a scalar is made of 48 bytes")
    return (int.from_bytes(entropy) % (_ORDER - 1) + 1).to_bytes(_SIZE)


@lru_cache(maxsize=1024)
def key_pair(scalar: bytes) -> ECKey:
    """Return the key pair of a private scalar."""
    return ECKey.import_key(ec.derive_private_key(int.from_bytes(scalar), ec.SECP256R1()))


def public_jwk(key: SigningKey) -> PublicJwk:
    """Return the public half of *key* as a JWK (RFC 7517, RFC 7518 section 6.2.1)."""
    numbers = key_pair(key.secret).public_key.public_numbers()
    return {
        "alg": "ES256",
        "crv": "P-256",
        "kid": key.kid,
        "kty": "EC",
        "x": _coordinate(numbers.x),
        "y": _coordinate(numbers.y),
    }


def _coordinate(value: int) -> str:
    return urlsafe_b64encode(value.to_bytes(_SIZE)).rstrip(b"=").decode()
