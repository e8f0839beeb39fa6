"""The inventory of cryptography, `docs/security/crypto.md`, written from what the code uses (ASVS 5.0, 11.1).

`python -m sessiond.crypto.inventory` prints it; a test compares it with the file, and the list of modules with what is
imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import assert_never

from sessiond.crypto import macs, pins, sealing
from sessiond.crypto.archives import SALT_SIZE
from sessiond.crypto.es256 import SCALAR_ENTROPY
from sessiond.crypto.purposes import KEY_SIZE, Purpose
from sessiond.domain.keys import (
    FORGOTTEN_AFTER,
    KEY_SETS_CACHED,
    KNOWN_BEFORE_USE,
    LONGEST_JWT,
    LONGEST_KEY_SETS_CACHED,
    PUBLISHED_BEFORE_USE,
    SETTLED_AFTER,
)

Row = Sequence[str]

LIBRARIES = ("cryptography", "joserfc", "argon2-cffi", "botocore")
"""The distributions that bring cryptography; botocore only where AWS KMS keeps the wrapping key."""

USES = {
    "bootstrap/aws_kms.py": "asks AWS KMS, over TLS, to wrap and unwrap the wrapping key",
    "crypto/archives.py": "AES-256-GCM in pieces and HKDF-SHA256: sealed backups",
    "crypto/es256.py": "ECDSA P-256 with SHA-256, deterministic (RFC 6979): signatures of JWTs",
    "crypto/jws.py": "JWS compact form, ES256 and HS256, behind a strict front",
    "crypto/macs.py": "HMAC-SHA256, compared in constant time: tokens, keyed hashes, partitions",
    "crypto/pins.py": "Argon2id over HMAC-SHA256: PINs",
    "crypto/purposes.py": "HKDF-Expand with SHA-256: a key for each purpose and project",
    "crypto/ring.py": "SHA-256: the fingerprint that names a wrapping key",
    "crypto/sealing.py": "AES-256-GCM: the key ring, vault keys, vault entries",
    "crypto/secrets.py": "comparison in constant time",
    "domain/admission.py": "comparison in constant time: a session's nonce",
    "domain/audit_chain.py": "SHA-256: the chain of events; comparison in constant time: its signatures",
    "domain/checksums.py": "SHA-256: what is moved between databases, compared",
    "http/dialects/stack_auth/access.py": "comparison in constant time: the publishable key's keyed hash",
    "http/etags.py": "SHA-256: entity tags, of public things",
    "services/keys.py": "comparison in constant time: the master token's keyed hash",
    "storage/engines/redis/address.py": "TLS to Redis",
    "storage/engines/redis/link.py": "TLS to Redis",
    "storage/engines/redis/scripts.py": "SHA-1: the name that Redis itself gives a script; no security rests on it",
}
"""Every module that imports a cryptographic library, and what for."""

_HEAD = """\
# Cryptographic inventory

Made from the code by `python -m sessiond.crypto.inventory`; a test compares them. How keys are changed:
[operations](../operations/keys.md). What an attacker gets who has some of them: [threat model](threat-model.md).

Nothing here is chosen by a request or a token: each use has one algorithm, and a token that names another is refused.
Randomness comes from the operating system (`os.urandom`), never from a generator of ours.
"""

_FOOT = """
## What is not here
- **TLS for clients** ends in the proxy in front: sessiond speaks plain HTTP. Its own connections go by the `ssl` module
  of Python: to AWS always, to [PostgreSQL](../operations/postgresql.md) and [Redis](../operations/redis.md) if told.
- **Certificates**: none are held.
- **Quantum computers**: MACs, keyed hashes and boxes stand on 256-bit symmetric keys and need no change. ES256 does.
  Its signatures are believed for the life of a JWT, at most {jwt}, so what is recorded today is worth nothing later.
  A second algorithm is a second kind of signing key, rotated like any other, once JOSE has one that clients verify.
- **FIPS 140**: `cryptography` brings its own OpenSSL, which is not the validated module; Argon2id and deterministic
  ECDSA are outside of it, too.
"""


def inventory() -> str:
    """Return the whole page as Markdown."""
    return "".join(
        [
            _HEAD,
            *_table("Keys", ("key", "bits", "for", "kept", "changes"), _keys()),
            *_table(
                "Keys that are derived", ("purpose", "algorithm", "what it protects", "changes"), _derived()
            ),
            *_table("Lifetimes", ("what", "how long"), _lifetimes()),
            *_table("Parameters", ("what", "value"), _parameters()),
            *_table(
                "Where it is used",
                ("module", "what for"),
                ((f"`{name}`", USES[name]) for name in sorted(USES)),
            ),
            *_table(
                "Libraries",
                ("distribution", "version that is locked"),
                ((name, version(name)) for name in LIBRARIES),
            ),
            _FOOT.format(jwt=_span(LONGEST_JWT)),
        ]
    )


def _table(title: str, columns: Row, rows: Iterator[Row]) -> Iterator[str]:
    yield f"\n## {title}\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


def _keys() -> Iterator[Row]:
    bits = str(KEY_SIZE * 8)
    ring = "in the ring"
    yield (
        "wrapping key",
        bits,
        "seals the ring and sealed backups (AES-256-GCM)",
        "outside the database, or wrapped by a key service",
        "`sessiond keys rewrap`",
    )
    yield "salt", bits, "partitions (HMAC-SHA256)", ring, "never: rows are found by it"
    yield (
        "root of keyed hashes",
        bits,
        "the `lookup.*` keys and the audit's below",
        ring,
        "never: rows are found by them",
    )
    yield (
        "root, for each project",
        bits,
        "the other keys below (HKDF-Expand-SHA256)",
        ring,
        "`sessiond keys rotate root`",
    )
    yield (
        "signing key, for each project and audience",
        "256 (P-256)",
        "JWTs that others verify (ES256)",
        f"{ring}; the public half in a key set",
        "`sessiond keys rotate signing`",
    )
    yield (
        "vault key, for each project",
        bits,
        "vault entries (AES-256-GCM)",
        f"{ring}, sealed under the root",
        "`sessiond keys rotate vault`",
    )
    yield (
        "nonce, for each session",
        "128",
        "makes a session's tokens unguessable to whoever has a key and an old backup",
        "in its row",
        "with the session",
    )
    yield (
        "server key, master token, one-time code",
        bits,
        "credentials",
        "hashed, with a key",
        "`sessiond server-keys`, `sessiond master-token rotate`; a code by its use",
    )


def _derived() -> Iterator[Row]:
    for purpose in Purpose:
        algorithm, protects = _use_of(purpose)
        permanent = purpose.startswith("lookup.") or purpose is Purpose.AUDIT
        yield f"`{purpose}`", algorithm, protects, "never" if permanent else "with the root"


def _use_of(purpose: Purpose) -> tuple[str, str]:  # noqa: C901, PLR0911, PLR0912  one line for each case
    tag = f"HMAC-SHA256, {macs.TAG_SIZE * 8} bits"
    match purpose:
        case Purpose.ACCESS:
            return tag, "opaque access tokens"
        case Purpose.REFRESH:
            return tag, "opaque refresh tokens"
        case Purpose.BROWSER:
            return tag, "session cookies"
        case Purpose.REFRESH_STACK:
            return tag, "refresh tokens of Stack Auth's API"
        case Purpose.OPERATOR:
            return tag, "the operator's session tokens, for one generation of the master token"
        case Purpose.PIN_ACCESS_HS256:
            return "HS256", "access tokens of the PIN API"
        case Purpose.PIN_REFRESH_HS256:
            return "HS256", "refresh tokens of the PIN API"
        case Purpose.DEVICE_HS256:
            return "HS256", "device tokens"
        case Purpose.JTI:
            return tag, "the `jti` of JWTs, which ties them to a row: a signing key alone does not pass here"
        case Purpose.CSRF:
            return tag, "nothing yet: cross-site requests are told by `Sec-Fetch-Site` and `Origin`"
        case Purpose.KNOWN_CLIENT:
            return tag, "what a browser keeps from a sign-in with a PIN"
        case Purpose.LOOKUP_SERVER_KEY:
            return tag, "server keys, found and compared by their keyed hash"
        case Purpose.LOOKUP_MASTER_TOKEN:
            return tag, "the master token"
        case Purpose.LOOKUP_DEVICE:
            return tag, "device identifiers"
        case Purpose.LOOKUP_COUNTER:
            return tag, "names of counters and of remembered `Idempotency-Key`s"
        case Purpose.LOOKUP_PUBLISHABLE_KEY:
            return tag, "publishable keys"
        case Purpose.LOOKUP_PSEUDONYM:
            return tag, "pseudonyms of the erased"
        case Purpose.PIN_PEPPER:
            return "HMAC-SHA256", "PINs, before they are hashed"
        case Purpose.VAULT_KEK:
            return "AES-256-GCM", "vault keys"
        case Purpose.AUDIT:
            return tag, "the heads of the chains of events"
        case _:
            assert_never(purpose)


def _lifetimes() -> Iterator[Row]:
    yield "a key is known to every node before it is used", _span(KNOWN_BEFORE_USE)
    yield "a signing key is published before it is used", _span(PUBLISHED_BEFORE_USE)
    yield (
        "others may keep the native key set, and Stack Auth's",
        f"{_span(KEY_SETS_CACHED)}, {_span(LONGEST_KEY_SETS_CACHED)}",
    )
    yield "a JWT lives at most", _span(LONGEST_JWT)
    yield "a retired signing key is destroyed after", _span(LONGEST_JWT + SETTLED_AFTER)
    yield (
        "a retired root or vault key is destroyed",
        f"when nothing names it, after {_span(SETTLED_AFTER)} at the earliest",
    )
    yield "a destroyed key is listed, without its secret", _span(FORGOTTEN_AFTER)


def _parameters() -> Iterator[Row]:
    yield "PINs", f"`{pins.DUMMY.rpartition('$A')[0].partition('$A')[0]}`, a salt of {pins.SALT_SIZE} bytes"
    yield (
        "AES-256-GCM boxes",
        f"a random nonce of {sealing.SEAL_ENTROPY} bytes; the place is associated data, with a vault entry's version",
    )
    yield (
        "sealed backups",
        f"a key of their own from a salt of {SALT_SIZE} bytes; pieces are counted in the nonce",
    )
    yield "signing keys", f"a scalar of P-256 from {SCALAR_ENTROPY} random bytes"


def _span(duration: timedelta) -> str:
    for unit, name in (
        (timedelta(days=1), "days"),
        (timedelta(hours=1), "hours"),
        (timedelta(minutes=1), "minutes"),
    ):
        if duration % unit == timedelta(0) and duration > unit:
            return f"{duration // unit} {name}"
    return f"{duration // timedelta(seconds=1)} seconds"


if __name__ == "__main__":
    sys.stdout.write(inventory())
