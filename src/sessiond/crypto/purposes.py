"""Purposes: what a derived key is for. A closed enumeration, a key each (HKDF-Expand, RFC 5869 section 2.3).

Two uses never share a key, so that a token of one kind shown at another's door fails on the key, before any
of its claims is read.
"""

from __future__ import annotations

import enum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sessiond.domain.ids import ProjectId

KEY_SIZE = 32
"""Bytes of every symmetric key: roots, derived keys, data keys, the wrapping key."""


class Purpose(enum.StrEnum):
    """What a derived key is for."""

    ACCESS = "access"
    REFRESH = "refresh"
    BROWSER = "browser"
    REFRESH_STACK = "refresh.stack"
    OPERATOR = "operator"
    PIN_ACCESS_HS256 = "pin.access.hs256"
    PIN_REFRESH_HS256 = "pin.refresh.hs256"
    DEVICE_HS256 = "device.hs256"
    JTI = "jti"
    CSRF = "csrf"
    KNOWN_CLIENT = "known_client"
    LOOKUP_SERVER_KEY = "lookup.server_key"
    LOOKUP_MASTER_TOKEN = "lookup.master_token"
    LOOKUP_DEVICE = "lookup.device"
    LOOKUP_COUNTER = "lookup.counter"
    LOOKUP_PUBLISHABLE_KEY = "lookup.publishable_key"
    LOOKUP_PSEUDONYM = "lookup.pseudonym"
    PIN_PEPPER = "pin.pepper"
    VAULT_KEK = "vault.kek"
    AUDIT = "audit"


def derive(root: bytes, purpose: Purpose, project: ProjectId, suffix: str = "") -> bytes:
    """Return the 32-byte key of *purpose* and *project* under *root*.

    *suffix* is more that the key depends on: the master token's generation, for operators.
    """
    info = f"sessiond|v1|{purpose}|{project}" + (f"|{suffix}" if suffix else "")
    return HKDFExpand(algorithm=SHA256(), length=KEY_SIZE, info=info.encode()).derive(root)
