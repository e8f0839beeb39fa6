"""PIN hashes: Argon2id over HMAC-SHA256(pepper, PIN).

The pepper is a derived key, so that a PIN, which has few digits, cannot be guessed from the database alone.
Parameters are OWASP's first choice (t=2, m=19 MiB, p=1). These functions hold a core for tens of
milliseconds and let other threads run: call them in a bounded pool.
"""

from __future__ import annotations

import hmac

from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from argon2.low_level import Type, hash_secret, verify_secret

from sessiond.domain.errors import Unavailable

SALT_SIZE = 16

_TIME_COST = 2
_MEMORY_KIB = 19 * 1024
_PARALLELISM = 1
_HASH_SIZE = 32

DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "A" * 43
"""A hash that no PIN has: verifying it for an unknown name costs the time of a known one."""


def hash_pin(pin: str, pepper: bytes, *, salt: bytes) -> str:
    """Return the hash to store, parameters and salt included; *salt* is 16 bytes of entropy."""
    if len(salt) != SALT_SIZE:
        raise ValueError("a salt is 16 bytes")
    encoded = hash_secret(
        _peppered(pin, pepper),
        salt,
        time_cost=_TIME_COST,
        memory_cost=_MEMORY_KIB,
        parallelism=_PARALLELISM,
        hash_len=_HASH_SIZE,
        type=Type.ID,
    )
    return encoded.decode()


def matches(stored: str, pin: str, pepper: bytes) -> bool:
    """Tell whether *stored* is a hash of *pin*; `Unavailable` when it is no hash that can be computed."""
    try:
        return verify_secret(stored.encode(), _peppered(pin, pepper), Type.ID)
    except VerifyMismatchError:
        return False
    except (Argon2Error, InvalidHashError) as error:
        raise Unavailable("pin_unreadable", "The stored PIN cannot be read; set it anew.") from error


def _peppered(pin: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, pin.encode("utf-8", "surrogatepass"), "sha256")
