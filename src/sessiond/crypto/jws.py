"""The strict front of every JWT: what joserfc is shown has already passed here, and only our own few forms do.

JOSE libraries accept what we never write: duplicate JSON members, UTF-16, `=` padding, any header member,
any `aud` if none is asked for. So each form is a `Profile`: its algorithm, exact header, exact claims with
exact types. The algorithm comes from the profile, never from the token. Sources: RFC 7515, RFC 8725bis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, get_args

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import HMACAlgorithm, JWSAlgModel
from joserfc.jwk import ECKey, OctKey

from sessiond.crypto.es256 import DeterministicES256, key_pair
from sessiond.crypto.strict import members, octets
from sessiond.domain.keys import SigningKey
from sessiond.domain.sessions import INVALID

LONGEST = 4096
"""Characters that a JWT of ours may have."""

_SIGNATURE_BYTES = {"ES256": 64, "HS256": 32}
_SEGMENTS = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class _Registry(jws.JWSRegistry):
    """Knows one algorithm. joserfc's own registry is shared by the process and knows `none`."""

    def __init__(self, algorithm: JWSAlgModel) -> None:
        super().__init__(algorithms=[algorithm.name])
        self.algorithms = {algorithm.name: algorithm}


_REGISTRIES = {"HS256": _Registry(HMACAlgorithm(256)), "ES256": _Registry(DeterministicES256())}


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The one shape of a form of JWT.

    The header is exactly `alg`, with ES256 the signing key's `kid`, and *typ* where one is given. *claims*
    names every claim and its exact type (`int`, `str | None`), *optional* those that may be left out; *use* is one
    more claim with its fixed value, which tells what the token is for. *others* says of a name whether a claim of
    that name, of any value, may stand there besides; without it none may.
    """

    alg: Literal["ES256", "HS256"]
    typ: str | None = None
    claims: Mapping[str, type | UnionType]
    optional: Mapping[str, type | UnionType] = {}
    use: tuple[str, str] | None = None
    others: Callable[[str], bool] | None = None


class Unverified(msgspec.Struct, frozen=True):
    """What a JWT says, before its signature is checked: good for finding a key, and for nothing else."""

    header: Mapping[str, object]
    claims: Mapping[str, object]

    def __repr__(self) -> str:
        return "Unverified(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


def sign(profile: Profile, key: bytes | SigningKey, claims: Mapping[str, object]) -> str:
    """Return the JWT of *claims*, the use claim added; *key* is a derived key (HS256) or a signing key (ES256).

    `ValueError` when the claims are not the profile's or too long.
    """
    full = {**claims, **_use(profile)}
    if not _conform(profile, full):
        raise ValueError("the claims are not those of the profile")
    payload = _payload(full)
    text = jws.serialize_compact(
        dict(_header(profile, key)),
        payload,
        _jose_key(profile, key),
        registry=_REGISTRIES[profile.alg],
    )
    if len(text) > LONGEST:
        raise ValueError("the claims are too long for a token")
    return text


def fitting(
    profile: Profile, key: bytes | SigningKey, claims: Mapping[str, object], more: Mapping[str, object]
) -> Mapping[str, object]:
    """Return as many of *more*, in their order, as fit into a token beside *claims*; one that does not is left out."""
    header = json.dumps(dict(_header(profile, key)), separators=(",", ":"))
    frame = _encoded_length(len(header)) + 2 + _encoded_length(_SIGNATURE_BYTES[profile.alg])
    room = (LONGEST - frame) * 3 // 4 - len(_payload({**claims, **_use(profile)}))
    kept: dict[str, object] = {}
    for name, value in more.items():
        room_for_it = len(_payload({name: value})) - 1  # two braces less, a comma more
        if room_for_it <= room:
            kept[name] = value
            room -= room_for_it
    return kept


def peek(text: str) -> Unverified | None:
    """Return the header and claims of *text*, or None when it is no JWT that we could have written; never raises."""
    if len(text) > LONGEST:
        return None
    shape = _SEGMENTS.fullmatch(text)
    if shape is None:
        return None
    try:
        header, claims, _ = (octets(segment) for segment in shape.groups())
        return Unverified(members(header), members(claims))
    except ValueError:
        return None


def verify(
    profile: Profile, text: str, key: bytes | SigningKey, *, issuer: str, audience: str
) -> Mapping[str, object]:
    """Return the claims of *text*, or raise `Unauthenticated`, the same for every reason.

    The signature, the header, every claim's name and type, `iss`, `aud` and the use claim were checked.
    `exp` was not: time is the domain's.
    """
    unverified = peek(text)
    if unverified is None or unverified.header != _header(profile, key):
        raise INVALID
    claims = unverified.claims
    expected = {"iss": issuer, "aud": audience, **_use(profile)}
    if not _conform(profile, claims) or any(claims.get(name) != value for name, value in expected.items()):
        raise INVALID
    if not _signed(profile, text, key):
        raise INVALID
    return claims


def _signed(profile: Profile, text: str, key: bytes | SigningKey) -> bool:
    try:
        jws.deserialize_compact(text, _jose_key(profile, key), registry=_REGISTRIES[profile.alg])
    except (JoseError, ValueError):
        return False
    return True


def _header(profile: Profile, key: bytes | SigningKey) -> Mapping[str, str]:
    kid = {"kid": key.kid} if isinstance(key, SigningKey) else {}
    typ = {"typ": profile.typ} if profile.typ is not None else {}
    return {"alg": profile.alg, **kid, **typ}


def _payload(claims: Mapping[str, object]) -> bytes:
    return json.dumps(claims, ensure_ascii=False, separators=(",", ":")).encode()


def _encoded_length(octets: int) -> int:
    """Return how many characters of base64url without padding *octets* take."""
    return -(-octets * 4 // 3)


def _use(profile: Profile) -> Mapping[str, str]:
    return dict([profile.use]) if profile.use is not None else {}


def _conform(profile: Profile, claims: Mapping[str, object]) -> bool:
    needed = {**profile.claims, **dict.fromkeys(_use(profile), str)}
    types = {**profile.optional, **needed}
    return needed.keys() <= claims.keys() and all(
        type(value) in _exactly(types[name])
        if name in types
        else profile.others is not None and profile.others(name)
        for name, value in claims.items()
    )


@lru_cache(maxsize=256)
def _exactly(types: type | UnionType) -> tuple[type, ...]:
    return get_args(types) or (types,)


def _jose_key(profile: Profile, key: bytes | SigningKey) -> ECKey | OctKey:
    if isinstance(key, SigningKey) != (profile.alg == "ES256"):
        raise TypeError(f"this is no key for {profile.alg}")
    return key_pair(key.secret) if isinstance(key, SigningKey) else _octet_key(key)


@lru_cache(maxsize=1024)
def _octet_key(key: bytes) -> OctKey:
    return OctKey.import_key(key)
