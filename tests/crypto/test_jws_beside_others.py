"""The strict front beside PyJWT and joserfc: what it accepts both accept, with the same claims.

So what either refuses it refuses. They are asked with the same key, algorithm, issuer and audience; the time is left
out, as the front leaves it to the domain. Where the front is the stricter one is listed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt as pyjwt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey
from joserfc.jws import JWSRegistry

from sessiond.crypto import jws
from sessiond.crypto.es256 import key_pair
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.keys import SigningKey
from tests.crypto.forging import (
    CLAIMS,
    DEVICE,
    DEVICE_CLAIMS,
    GOOD_HEADER,
    HMAC_KEY,
    ISSUER,
    NATIVE,
    SIGNING,
    forged,
)
from tests.crypto.material import PROJECT

Claims = Mapping[str, Any]


def ours(text: str, key: bytes | SigningKey) -> Claims | None:
    try:
        profile = NATIVE if isinstance(key, SigningKey) else DEVICE
        return jws.verify(profile, text, key, issuer=ISSUER, audience=PROJECT)
    except Unauthenticated:
        return None


def of_pyjwt(text: str, key: bytes | SigningKey) -> Claims | None:
    secret: Any = key_pair(key.secret).public_key if isinstance(key, SigningKey) else key
    try:
        found: Claims = pyjwt.decode(
            text,
            secret,
            algorithms=["ES256" if isinstance(key, SigningKey) else "HS256"],
            issuer=ISSUER,
            audience=PROJECT,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except (pyjwt.PyJWTError, ValueError):
        return None
    return found


def of_joserfc(text: str, key: bytes | SigningKey) -> Claims | None:
    alg = "ES256" if isinstance(key, SigningKey) else "HS256"
    secret = (
        ECKey.import_key(key_pair(key.secret).as_dict())
        if isinstance(key, SigningKey)
        else OctKey.import_key(key)
    )
    rules = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": PROJECT}
    )
    try:
        token = joserfc_jwt.decode(text, secret, algorithms=[alg], registry=JWSRegistry(algorithms=[alg]))
        rules.validate_iss(token.claims.get("iss"))
        rules.validate_aud(token.claims.get("aud"))
    except (JoseError, ValueError):
        return None
    return token.claims


def compare(text: str, key: bytes | SigningKey = HMAC_KEY) -> bool:
    """Whether the front accepts *text*; fails where it is laxer than either library, or reads something else."""
    accepted = ours(text, key)
    theirs = (of_pyjwt(text, key), of_joserfc(text, key))
    if accepted is not None:
        assert theirs == (accepted, accepted)
    return accepted is not None


# what we write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.integers(0, 10**15 - 1)


@st.composite
def claims_of_ours(draw: st.DrawFn) -> Claims:
    texts = {name: draw(TEXTS) for name in ("sub", "sid", "jti", "session")}
    numbers = {name: draw(NUMBERS) for name in ("gen", "iat", "exp")}
    return {**texts, **numbers, "iss": ISSUER, "aud": PROJECT}


@given(claims_of_ours())
def test_what_we_sign_with_a_secret_all_three_read_alike(claims: Claims) -> None:
    assert compare(jws.sign(DEVICE, HMAC_KEY, claims))


@settings(max_examples=30)
@given(claims_of_ours())
def test_what_we_sign_with_a_key_pair_all_three_read_alike(claims: Claims) -> None:
    others = {name: value for name, value in claims.items() if name != "session"}

    assert compare(jws.sign(NATIVE, SIGNING, others), SIGNING)


# what we would not write, rightly signed

PIECES = st.sampled_from(
    [
        *'{}[]:,"\\ \t\n0123456789.eE+-',
        "null",
        "true",
        "NaN",
        "Infinity",
        "1e400",
        "-1",
        "1.0",
        "\\u0000",
        "\\ud800",
        "\ufeff",
        '"exp":0',
        ',"exp":9999999999',
        ',"aud":["x"]',
        ',"sub":"mallory"',
        '"\\u0061ud":"x",',
        ',"crit":["b64"],"b64":false',
        ',"alg":"none"',
    ]
)


@st.composite
def edited(draw: st.DrawFn, text: str) -> str:
    """Return *text* with up to three places cut out, doubled, or filled with pieces that JSON is made of."""
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(PIECES | st.just("") | st.just(text[start:end] * 2)) + text[end:]
    return text


ENCODINGS = st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
COMPACT = json.dumps(DEVICE_CLAIMS, separators=(",", ":"))


@settings(max_examples=400)
@given(
    head=edited(json.dumps(GOOD_HEADER, separators=(",", ":"))),
    payload=edited(COMPACT),
    encoding=ENCODINGS,
)
@example(head=json.dumps(GOOD_HEADER), payload=COMPACT, encoding="utf-8")
def test_a_right_signature_over_anything_passes_here_only_where_it_passes_everywhere(
    head: str, payload: str, encoding: str
) -> None:
    compare(forged(head, payload.encode(encoding, "surrogatepass")))


# what is spelt otherwise

CHARACTERS = st.sampled_from("AQZaz09-_=.+/ \n%\0é")


@st.composite
def respelt(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(CHARACTERS | st.just("")) + text[place + draw(st.integers(0, 1)) :]
    return text


GOOD, GOOD_ES256 = jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS), jws.sign(NATIVE, SIGNING, CLAIMS)


@settings(max_examples=300)
@given(respelt(GOOD))
def test_of_all_spellings_one_passes(text: str) -> None:
    assert compare(text) == (text == GOOD)


@settings(max_examples=100)
@given(respelt(GOOD_ES256))
def test_of_all_spellings_signed_with_a_key_pair_one_passes(text: str) -> None:
    assert compare(text, SIGNING) == (text == GOOD_ES256)


# where the libraries are laxer

LAXER = {
    "a member twice (RFC 8259 leaves it open)": (forged(GOOD_HEADER, COMPACT[:-1] + ',"exp":1}'), True, True),
    "a header member twice": (forged('{"alg":"none","typ":"JWT","alg":"HS256"}', DEVICE_CLAIMS), True, True),
    "UTF-16": (forged(GOOD_HEADER, COMPACT.encode("utf-16")), True, True),
    "padding (RFC 7515 leaves it out)": (GOOD + "=", True, False),
    "a header that is not the form's": (forged({**GOOD_HEADER, "cty": "x"}, DEVICE_CLAIMS), True, True),
    "a kid where none belongs": (forged({**GOOD_HEADER, "kid": "x"}, DEVICE_CLAIMS), True, True),
    "no typ": (forged({"alg": "HS256"}, DEVICE_CLAIMS), True, True),
    "a claim too many": (forged(GOOD_HEADER, DEVICE_CLAIMS | {"admin": True}), True, True),
    "a claim too few": (
        forged(GOOD_HEADER, {k: v for k, v in DEVICE_CLAIMS.items() if k != "jti"}),
        True,
        True,
    ),
    "exp as text": (forged(GOOD_HEADER, DEVICE_CLAIMS | {"exp": "1770000600"}), True, True),
    "a fraction": (forged(GOOD_HEADER, DEVICE_CLAIMS | {"exp": 1770000600.5}), True, True),
    "aud in a list": (forged(GOOD_HEADER, DEVICE_CLAIMS | {"aud": [PROJECT, "other"]}), True, True),
    "more than 4 KiB": (forged(GOOD_HEADER, DEVICE_CLAIMS | {"sub": "x" * 4096}), True, True),
}
"""Why each is refused here; whether PyJWT, and whether joserfc, accepts it."""


@pytest.mark.parametrize("reason", LAXER)
def test_where_the_libraries_are_laxer(reason: str) -> None:
    text, by_pyjwt, by_joserfc = LAXER[reason]

    assert ours(text, HMAC_KEY) is None
    assert (of_pyjwt(text, HMAC_KEY) is not None, of_joserfc(text, HMAC_KEY) is not None) == (
        by_pyjwt,
        by_joserfc,
    )
