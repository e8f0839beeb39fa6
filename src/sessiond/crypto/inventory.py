"""The inventory of cryptography, `docs/security/crypto.md`, written from what the code uses (ASVS 5.0, 11.1).

`python -m sessiond.crypto.inventory` prints it; a test compares it with the file, and the list of modules with what is
imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version

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

_BITS = str(KEY_SIZE * 8)
_RING = "in the ring"
_KEYS: Sequence[Row] = (
    (
        "wrapping key",
        _BITS,
        "seals the ring and sealed backups (AES-256-GCM)",
        "outside the database, or wrapped by a key service",
        "`sessiond keys rewrap`",
    ),
    ("salt", _BITS, "partitions (HMAC-SHA256)", _RING, "never: rows are found by it"),
    (
        "root of keyed hashes",
        _BITS,
        "the `lookup.*` keys and the audit's below",
        _RING,
        "never: rows are found by them",
    ),
    (
        "root, for each project",
        _BITS,
        "the other keys below (HKDF-Expand-SHA256)",
        _RING,
        "`sessiond keys rotate root`",
    ),
    (
        "signing key, for each project and audience",
        "256 (P-256)",
        "JWTs that others verify (ES256)",
        f"{_RING}; the public half in a key set",
        "`sessiond keys rotate signing`",
    ),
    (
        "vault key, for each project",
        _BITS,
        "vault entries (AES-256-GCM)",
        f"{_RING}, sealed under the root",
        "`sessiond keys rotate vault`",
    ),
    (
        "nonce, for each session",
        "128",
        "makes a session's tokens unguessable to whoever has a key and an old backup",
        "in its row",
        "with the session",
    ),
    (
        "server key, master token, one-time code",
        _BITS,
        "credentials",
        "hashed, with a key",
        "`sessiond server-keys`, `sessiond master-token rotate`; no code is issued yet",
    ),
)

_PROTECTED = {
    Purpose.ACCESS: "opaque access tokens",
    Purpose.REFRESH: "opaque refresh tokens",
    Purpose.BROWSER: "session cookies",
    Purpose.REFRESH_STACK: "refresh tokens of Stack Auth's API",
    Purpose.OPERATOR: "the operator's session tokens, for one generation of the master token",
    Purpose.PIN_ACCESS_HS256: "access tokens of the PIN API",
    Purpose.PIN_REFRESH_HS256: "refresh tokens of the PIN API",
    Purpose.DEVICE_HS256: "device tokens",
    Purpose.JTI: "the `jti` of JWTs, which ties them to a row: a signing key alone does not pass here",
    Purpose.CSRF: "nothing yet: cross-site requests are told by `Sec-Fetch-Site` and `Origin`",
    Purpose.KNOWN_CLIENT: "what a browser keeps from a sign-in with a PIN",
    Purpose.LOOKUP_SERVER_KEY: "server keys, found and compared by their keyed hash",
    Purpose.LOOKUP_MASTER_TOKEN: "the master token",
    Purpose.LOOKUP_DEVICE: "device identifiers",
    Purpose.LOOKUP_COUNTER: "names of counters and of remembered `Idempotency-Key`s",
    Purpose.LOOKUP_PUBLISHABLE_KEY: "publishable keys",
    Purpose.LOOKUP_PSEUDONYM: "pseudonyms of the erased",
    Purpose.PIN_PEPPER: "PINs, before they are hashed",
    Purpose.VAULT_KEK: "vault keys",
    Purpose.AUDIT: "the heads of the chains of events",
}
"""What each purpose's key is for."""

_OTHER_ALGORITHMS = {
    Purpose.PIN_ACCESS_HS256: "HS256",
    Purpose.PIN_REFRESH_HS256: "HS256",
    Purpose.DEVICE_HS256: "HS256",
    Purpose.PIN_PEPPER: "HMAC-SHA256",
    Purpose.VAULT_KEK: "AES-256-GCM",
}
"""What is done with those keys that make no tags of ours."""

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
            *_table("Keys", ("key", "bits", "for", "kept", "changes"), _KEYS),
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


def _table(title: str, columns: Row, rows: Iterable[Row]) -> Iterator[str]:
    yield f"\n## {title}\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(row)} |\n"


def _derived() -> Iterator[Row]:
    tag = f"HMAC-SHA256, {macs.TAG_SIZE * 8} bits"
    for purpose in Purpose:
        algorithm = _OTHER_ALGORITHMS.get(purpose, tag)
        permanent = purpose.startswith("lookup.") or purpose is Purpose.AUDIT
        yield f"`{purpose}`", algorithm, _PROTECTED[purpose], "never" if permanent else "with the root"


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
