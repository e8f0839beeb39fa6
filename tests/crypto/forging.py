"""JWT profiles like those in use, tokens with right signatures over wrong contents, and whether they are refused."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping

from sessiond.crypto import jws
from sessiond.crypto.jws import Profile
from sessiond.crypto.purposes import Purpose
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.keys import Audience, SigningKey
from tests.crypto.material import PROJECT, two_projects

ISSUER = "https://sessions.example"
COMMON: Mapping[str, type] = {
    "sub": str,
    "sid": str,
    "gen": int,
    "iat": int,
    "exp": int,
    "jti": str,
    "iss": str,
    "aud": str,
}
NATIVE = Profile(alg="ES256", typ="at+jwt", claims=COMMON, use=("use", "access"))
STACK = Profile(
    alg="ES256", claims={**COMMON, "name": str | None, "is_anonymous": bool, "reason": dict | None}
)
DEVICE = Profile(alg="HS256", typ="JWT", claims={"session": str, **COMMON})
PIN = Profile(alg="HS256", typ="JWT", claims={**COMMON, "name": str}, use=("token_use", "access"))

CLAIMS: dict[str, object] = {
    "sub": "alice",
    "sid": "01890000-0000-7000-8000-000000000000",
    "gen": 0,
    "iat": 1_770_000_000,
    "exp": 1_770_000_600,
    "jti": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "iss": ISSUER,
    "aud": PROJECT,
}
DEVICE_CLAIMS = {"session": "00ff", **CLAIMS}

RING = two_projects()
SIGNING = RING.signing_key(PROJECT, Audience.NATIVE)
HMAC_KEY = RING.key(RING.active_root(PROJECT).kid, Purpose.DEVICE_HS256)


def segment(octets: bytes | str) -> str:
    raw = octets if isinstance(octets, bytes) else octets.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: object, payload: bytes | str | Mapping[str, object], key: bytes = HMAC_KEY) -> str:
    """A JWT with a right HS256 signature over anything: what the front refuses, it refuses for itself."""
    head = segment(header if isinstance(header, bytes | str) else json.dumps(header))
    signed = f"{head}.{segment(payload if isinstance(payload, bytes | str) else json.dumps(payload))}"
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), 'sha256'))}"


def refused(
    text: str,
    profile: Profile = DEVICE,
    key: bytes | SigningKey = HMAC_KEY,
    *,
    issuer: str = ISSUER,
    audience: str = PROJECT,
) -> bool:
    """Whether the front refuses *text*; anything but `Unauthenticated` is an error of the test."""
    try:
        jws.verify(profile, text, key, issuer=issuer, audience=audience)
    except Unauthenticated as refusal:
        return refusal.code == "invalid_token"
    return False


GOOD_HEADER: dict[str, object] = {"alg": "HS256", "typ": "JWT"}
