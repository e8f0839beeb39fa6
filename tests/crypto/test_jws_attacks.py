"""The attack cases 1, 2, 3 and 6 against the front of every JWT (header, spelling, signature): all refused alike."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sessiond.crypto import jws
from sessiond.crypto.es256 import key_pair, public_jwk
from sessiond.domain.keys import Audience
from tests.crypto.forging import (
    CLAIMS,
    DEVICE,
    DEVICE_CLAIMS,
    GOOD_HEADER,
    HMAC_KEY,
    NATIVE,
    RING,
    SIGNING,
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
