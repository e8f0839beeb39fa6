"""The attack cases 1 to 6 and 8 against the front of every JWT: all refused alike, nothing else raised."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sessiond.crypto import jws
from sessiond.crypto.es256 import key_pair, public_jwk
from sessiond.crypto.jws import Profile
from sessiond.domain.keys import Audience
from tests.crypto.forging import (
    CLAIMS,
    COMMON,
    DEVICE,
    DEVICE_CLAIMS,
    GOOD_HEADER,
    HMAC_KEY,
    NATIVE,
    RING,
    SIGNING,
    STACK,
    forged,
    refused,
    segment,
)
from tests.crypto.material import OTHER_PROJECT

# 1: algorithms


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, "HS384", "hs256", "ES256", "RS256", 256]
)
@pytest.mark.parametrize("signature", ["", "AA"])
def test_case_1_no_algorithm_but_the_profiles_is_accepted(alg: object, signature: str) -> None:
    good = jws.sign(NATIVE, SIGNING, CLAIMS)
    payload = good.split(".")[1]
    header = {"alg": alg, "kid": SIGNING.kid, "typ": "at+jwt"}

    assert refused(f"{segment(json.dumps(header))}.{payload}.{signature}", NATIVE, SIGNING)
    assert refused(forged({"alg": alg, "typ": "JWT"}, DEVICE_CLAIMS))


def test_case_1_a_public_key_is_no_hmac_key() -> None:
    public = key_pair(SIGNING.secret).public_key
    spki = PublicFormat.SubjectPublicKeyInfo
    jwk = public_jwk(SIGNING)
    for key in (
        public.public_bytes(Encoding.PEM, spki),
        public.public_bytes(Encoding.PEM, spki).strip(),
        public.public_bytes(Encoding.DER, spki),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        json.dumps(jwk).encode(),
        json.dumps(jwk, separators=(",", ":")).encode(),
    ):
        for alg in ("HS256", "ES256"):
            header = {"alg": alg, "kid": SIGNING.kid, "typ": "at+jwt"}
            assert refused(forged(header, CLAIMS | {"use": "access"}, key), NATIVE, SIGNING)


# 2: headers


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5c": ["AAAA"]},
        {"x5u": "https://attacker.example/cert.pem"},
        {"x5t": "AAAA"},
        {"kid": "abcdefghijkl"},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": False},
        {"b64": False, "crit": ["b64"]},
        {"cty": "JWT"},
        {"zip": "DEF"},
        {"": ""},
    ],
)
def test_case_2_a_header_member_too_many_is_refused(more: Mapping[str, object]) -> None:
    assert refused(forged({**GOOD_HEADER, **more}, DEVICE_CLAIMS))


@pytest.mark.parametrize("typ", ["jwt", "at+jwt", "JWT ", "", None, ["JWT"], 1])
def test_case_2_another_typ_is_refused(typ: object) -> None:
    assert refused(forged({"alg": "HS256", "typ": typ}, DEVICE_CLAIMS))
    assert refused(forged({"alg": "HS256"}, DEVICE_CLAIMS))


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "' OR 1=1 --",
        "abcdefghijk\0",
        "k" * 1_000_000,
        ["abcdefghijkl"],
        {"kid": 1},
        7,
        None,
        True,
        "",
    ],
    ids=lambda kid: str(kid)[:12],
)
def test_case_2_a_strange_kid_finds_no_key_and_is_refused(kid: object) -> None:
    payload = jws.sign(NATIVE, SIGNING, CLAIMS).split(".")[1]
    text = f"{segment(json.dumps({'alg': 'ES256', 'kid': kid, 'typ': 'at+jwt'}))}.{payload}.{'A' * 86}"

    unverified = jws.peek(text)

    named = unverified.header["kid"] if unverified else None
    assert not isinstance(named, str) or RING.signing_key_by_kid(named) is None
    assert refused(text, NATIVE, SIGNING)


def test_case_2_the_kid_is_that_of_the_key() -> None:
    other = RING.signing_key(OTHER_PROJECT, Audience.NATIVE)

    assert refused(jws.sign(NATIVE, SIGNING, CLAIMS), NATIVE, other)


# 3: spelling


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: text + "=",
        lambda text: text.replace(".", "=."),
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace(".", ". "),
        lambda text: text + ".",
        lambda text: text + ".AAAA",
        lambda text: "." + text,
        lambda text: text.rsplit(".", 1)[0],
        lambda text: text.rsplit(".", 1)[0] + ".",
        lambda text: text.replace(".", ".."),
        lambda text: text.upper(),
        lambda text: "Bearer " + text,
        lambda text: text + "\0",
        lambda text: text[:-1] + "\ud800",
        lambda text: text[:-1] + "é",
        lambda _: "",
        lambda _: "..",
        lambda _: "eyJ",
    ],
)
def test_case_3_another_spelling_is_refused(respell: Callable[[str], str]) -> None:
    assert refused(respell(jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS)))
    assert refused(respell(jws.sign(NATIVE, SIGNING, CLAIMS)), NATIVE, SIGNING)


def test_case_3_every_one_byte_mutant_is_refused() -> None:
    text = jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS)

    for position in range(len(text)):
        for other in "A.=~+/- \0é" + chr(ord(text[position]) ^ 1):
            if other != text[position]:
                assert refused(text[:position] + other + text[position + 1 :])


def test_case_3_spare_bits_in_the_last_character_are_refused() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for text, profile, key in (
        (jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS), DEVICE, HMAC_KEY),
        (jws.sign(NATIVE, SIGNING, CLAIMS), NATIVE, SIGNING),
    ):
        accepted = [last for last in alphabet if not refused(text[:-1] + last, profile, key)]

        assert accepted == [text[-1]]


# 4: claims


@pytest.mark.parametrize(
    "exp", ['"1770000600"', "1770000600.0", "1.77e9", "true", "NaN", "Infinity", "-Infinity"]
)
@pytest.mark.parametrize("claim", ["exp", "iat", "gen"])
def test_case_4_a_number_that_is_no_integer_is_refused(claim: str, exp: str) -> None:
    payload = json.dumps(DEVICE_CLAIMS).replace(f'"{claim}": {DEVICE_CLAIMS[claim]}', f'"{claim}": {exp}')

    assert exp in payload
    assert refused(forged(GOOD_HEADER, payload))


@pytest.mark.parametrize(
    "exp", ["1e400", "-1e400", "-1", "-0", "null", "[1770000600]", "1" * 16, "9" * 3000, "01"]
)
def test_case_4_an_integer_out_of_all_bounds_is_refused(exp: str) -> None:
    payload = json.dumps(DEVICE_CLAIMS).replace('"exp": 1770000600', f'"exp": {exp}')

    assert exp in payload
    assert refused(forged(GOOD_HEADER, payload))


def test_case_4_a_member_that_occurs_twice_is_refused() -> None:
    claims = json.dumps(DEVICE_CLAIMS)
    for member in ('"exp": 1770000600', '"sub": "alice"', '"\\u0073ub": "mallory"'):
        assert refused(forged(GOOD_HEADER, claims[:-1] + f", {member}}}"))
        assert refused(forged(GOOD_HEADER, f"{{{member}, " + claims[1:]))
    assert refused(forged('{"alg":"HS256","alg":"HS256","typ":"JWT"}', DEVICE_CLAIMS))
    assert refused(forged('{"alg":"none","typ":"JWT","alg":"HS256"}', DEVICE_CLAIMS))


def test_case_4_a_member_that_occurs_twice_below_is_refused() -> None:
    claims = CLAIMS | {"name": None, "is_anonymous": False, "reason": {"a": 1}}
    profile = Profile(alg="HS256", claims=STACK.claims)
    payload = json.dumps(claims)

    assert not refused(forged({"alg": "HS256"}, payload), profile)
    assert refused(forged({"alg": "HS256"}, payload.replace('{"a": 1}', '{"a": 1, "a": 1}')), profile)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_case_4_another_encoding_than_utf_8_is_refused(encoding: str) -> None:
    claims = DEVICE_CLAIMS | {"sub": "alicë"}

    assert refused(forged(GOOD_HEADER, json.dumps(claims, ensure_ascii=False).encode(encoding)))


@pytest.mark.parametrize(
    "subject",
    [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\\ud800", b"\\udfff\\ud800", b"\\uZZZZ", b"\n", b"\0"],
)
def test_case_4_text_that_is_no_unicode_is_refused(subject: bytes) -> None:
    payload = json.dumps(DEVICE_CLAIMS).encode().replace(b"alice", subject)

    assert refused(forged(GOOD_HEADER, payload))


@pytest.mark.parametrize("name", sorted(DEVICE_CLAIMS))
def test_case_4_a_claim_missing_null_or_of_another_type_is_refused(name: str) -> None:
    without = {key: value for key, value in DEVICE_CLAIMS.items() if key != name}

    assert refused(forged(GOOD_HEADER, without))
    for value in (None, [], {}, True, [DEVICE_CLAIMS[name]], {name: DEVICE_CLAIMS[name]}):
        assert refused(forged(GOOD_HEADER, without | {name: value}))


def test_case_4_a_claim_too_many_is_refused() -> None:
    assert refused(forged(GOOD_HEADER, DEVICE_CLAIMS | {"nbf": 1}))
    assert refused(forged(GOOD_HEADER, DEVICE_CLAIMS | {"Sub": "alice"}))


@pytest.mark.parametrize("payload", ["", "[]", "null", "1", '"text"', "{", "{}x", "{'a': 1}", "{} {}"])
def test_case_4_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    assert refused(forged(GOOD_HEADER, payload))
    assert refused(forged(payload, DEVICE_CLAIMS))


# 5: size


@pytest.mark.parametrize(
    "text",
    [
        forged(GOOD_HEADER, "[" * 100_000 + "]" * 100_000),
        forged(GOOD_HEADER, '{"a":' * 100_000 + "1" + "}" * 100_000),
        forged(GOOD_HEADER, '{"exp":' + "9" * 5_000 + "}"),
        forged({"alg": "HS256", "typ": "JWT" * 25_000}, DEVICE_CLAIMS),
        forged(GOOD_HEADER, "[" * 2_900),
        forged(GOOD_HEADER, '{"a":' * 580 + "1" + "}" * 580),
        "A" * 10_000_000,
        "." * 10_000_000,
        "eyJ." * 1_000,
    ],
    ids=[
        "nested",
        "nested objects",
        "integer",
        "header",
        "nested short",
        "nested objects short",
        "10 MB",
        "dots",
        "segments",
    ],
)
def test_case_5_what_is_too_large_or_too_deep_is_refused_at_once(text: str) -> None:
    took = []
    for _ in range(5):
        began = time.process_time()
        assert refused(text)
        took.append(time.process_time() - began)

    assert min(took) < 0.002


# 6: signatures


def _signature_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.rsplit(".", 1)[1] + "==")


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("r", [0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1])
def test_case_6_degenerate_signatures_are_refused(r: int, s: int) -> None:
    head, payload, _ = jws.sign(NATIVE, SIGNING, CLAIMS).split(".")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")

    assert refused(f"{head}.{payload}.{segment(signature)}", NATIVE, SIGNING)


def test_case_6_a_signature_of_another_length_or_form_is_refused() -> None:
    text = jws.sign(NATIVE, SIGNING, CLAIMS)
    head, payload, _ = text.split(".")
    raw = _signature_of(text)
    der = b"\x30\x44\x02\x20" + raw[:32] + b"\x02\x20" + raw[32:]
    for signature in (
        raw[:63],
        raw + b"\0",
        b"\0" + raw,
        raw[:32],
        raw * 2,
        der,
        raw[32:] + raw[:32],
        b"\0" * 1025,
    ):
        assert refused(f"{head}.{payload}.{segment(signature)}", NATIVE, SIGNING)
    hs256 = jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS)
    head, payload, _ = hs256.split(".")
    for signature in (
        _signature_of(hs256)[:16],
        _signature_of(hs256)[:31],
        _signature_of(hs256) + b"\0",
        b"\0",
    ):
        assert refused(f"{head}.{payload}.{segment(signature)}")


# 8: issuer and audience


@pytest.mark.parametrize("claim", ["iss", "aud"])
def test_case_8_another_issuer_or_audience_is_refused(claim: str) -> None:
    right = str(DEVICE_CLAIMS[claim])
    for wrong in (
        "",
        right[:-1],
        right[1:],
        right + "/",
        right + " ",
        right.swapcase() if claim == "iss" else "A" + right[1:],
        [right],
        [right, "other"],
        {right: True},
        None,
        f"{right}:anon",
        OTHER_PROJECT,
    ):
        assert refused(forged(GOOD_HEADER, DEVICE_CLAIMS | {claim: wrong}))


def test_case_8_a_profile_without_issuer_or_audience_accepts_nothing() -> None:
    for claim in ("iss", "aud"):
        kept = {name: value for name, value in CLAIMS.items() if name != claim}
        profile = Profile(alg="HS256", typ="JWT", claims={name: COMMON[name] for name in kept})

        assert refused(jws.sign(profile, HMAC_KEY, kept), profile)
