"""Attack case 6: the vectors of Project Wycheproof against the primitives as they are used here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwa import HMACAlgorithm
from joserfc.jwk import ECKey, OctKey

from sessiond.crypto import jws, macs
from sessiond.crypto.es256 import DeterministicES256
from sessiond.crypto.jws import Profile
from sessiond.crypto.strict import members, octets
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.keys import Audience, KeyState, SigningKey
from tests.crypto.material import NOW, PROJECT

FOLDER = Path(__file__).parent / "wycheproof"

Vector = dict[str, Any]

ACCEPTED_BY_SOME = {372, 373}
"""Wycheproof lets a JWS with a foreign character in its base64url pass; the front does not."""

LOST_THEIR_PADDING = {367, 370}
"""Called invalid for their padding, but the file has them without it: letter by letter the valid vector 357."""


def vectors(name: str) -> list[Any]:
    return [pytest.param(vector, id=f"{vector['id']}") for vector in json.loads((FOLDER / name).read_text())]


def is_valid(vector: Vector) -> bool:
    return bool(vector["result"] == "valid")


@pytest.mark.parametrize("vector", vectors("hmac_sha256.json"))
def test_case_6_hmac_tags_agree(vector: Vector) -> None:
    key, message, tag = (bytes.fromhex(vector[name]) for name in ("key", "msg", "tag"))

    assert macs.matches(key, message, tag) == is_valid(vector)


@pytest.mark.parametrize("vector", vectors("aes_gcm.json"))
def test_case_6_aes_gcm_agrees(vector: Vector) -> None:
    key, nonce, aad, message, sealed, tag = (
        bytes.fromhex(vector[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
    )
    box = AESGCM(key)

    if is_valid(vector):
        assert box.decrypt(nonce, sealed + tag, aad) == message
    else:
        with pytest.raises(InvalidTag):
            box.decrypt(nonce, sealed + tag, aad)


@pytest.mark.parametrize("vector", vectors("ecdsa_secp256r1_sha256_p1363.json"))
def test_case_6_es256_signatures_agree(vector: Vector) -> None:
    x, y = int(vector["wx"], 16), int(vector["wy"], 16)
    key = ECKey.import_key(ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())
    message, signature = bytes.fromhex(vector["msg"]), bytes.fromhex(vector["sig"])

    assert DeterministicES256().verify(message, signature, key) == is_valid(vector)


@pytest.mark.parametrize("vector", vectors("json_web_signature.json"))
def test_case_6_jws_signatures_agree_read_as_the_front_reads_them(vector: Vector) -> None:
    expected = (is_valid(vector) or vector["id"] in LOST_THEIR_PADDING) and vector[
        "id"
    ] not in ACCEPTED_BY_SOME

    assert _passes(vector["jws"], vector["key"]) == expected


@pytest.mark.parametrize("vector", vectors("json_web_signature.json"))
def test_case_6_no_foreign_jws_passes_the_front(vector: Vector) -> None:
    alg, text = vector["key"]["alg"], vector["jws"]
    profile = Profile(alg=alg, claims={"iss": str, "aud": str})
    key = _secret(vector["key"]) if alg == "HS256" else _signing_key(vector["key"])

    with pytest.raises(Unauthenticated):
        jws.verify(profile, text if isinstance(text, str) else json.dumps(text), key, issuer="", audience="")


def _passes(text: object, key: Vector) -> bool:
    if not isinstance(text, str) or text.count(".") != 2:
        return False
    head, payload, signature = text.split(".")
    try:
        signed, header = f"{head}.{payload}".encode(), members(octets(head))
        octets(payload)
        presented = octets(signature)
    except ValueError:
        return False
    if header.get("alg") != key["alg"]:
        return False
    if key["alg"] == "HS256":
        return HMACAlgorithm(256).verify(signed, presented, OctKey.import_key(_secret(key)))
    public = {name: key[name] for name in ("kty", "crv", "x", "y")}
    return DeterministicES256().verify(signed, presented, ECKey.import_key(public))


def _secret(key: Vector) -> bytes:
    return octets(key["k"])


def _signing_key(key: Vector) -> SigningKey:
    return SigningKey(
        kid=key["kid"],
        audience=Audience.NATIVE,
        project=PROJECT,
        state=KeyState.ACTIVE,
        created_at=NOW,
        secret=octets(key["d"]) if "d" in key else (1).to_bytes(32, "big"),
    )
