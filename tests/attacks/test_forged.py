"""Rows 1 to 4 on a running server: tokens that were forged, dressed up, respelt or doubled, at every door for JWTs."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import socket
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.crypto.forging import segment
from tests.dialects.oauth_calls import Calls

JWTS = ("jwt", "device", "pin access", "stack access", "stack anonymous access")
OPAQUE = ("access", "cookie", "operator")


@pytest.fixture(scope="module")
def kinds(calls: Calls) -> Mapping[str, str]:
    return calls.every_kind()


def refused(calls: Calls, token: str) -> bool:
    """Whether each way of showing an access token refuses this one, with the one constant answer."""
    calls.http.cookies.clear()
    raw = token.encode()
    headers: list[list[tuple[bytes, bytes]]] = [
        [(b"Authorization", b"Bearer " + raw)],
        [(b"Cookie", b"sid=" + raw)],
        [(b"Cookie", b"accessToken=" + raw)],
    ]
    answers = [calls.http.get("/v1/session", headers=each) for each in headers]
    return all((answer.status_code, answer.json()["code"]) == (401, "invalid_token") for answer in answers)


def parts_of(token: str) -> tuple[dict[str, object], str]:
    """Return the header of a JWT, and its payload as it is spelt."""
    header, payload, _ = token.split(".")
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(header + "=="))
    return found, payload


@pytest.mark.parametrize("kind", JWTS)
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "", "HS256", "HS384", "RS256"])
def test_row_1_no_algorithm_is_taken_from_the_token(
    calls: Calls, kinds: Mapping[str, str], kind: str, alg: str
) -> None:
    header, payload = parts_of(kinds[kind])
    signature = kinds[kind].rpartition(".")[2]
    head = segment(json.dumps(header | {"alg": alg}, separators=(",", ":")))

    for kept in ("", "AA", signature):
        if f"{head}.{payload}.{kept}" != kinds[kind]:
            assert refused(calls, f"{head}.{payload}.{kept}")


def public_keys(calls: Calls) -> list[bytes]:
    """Return what is published of the signing keys, in each form in which somebody may use it as a secret."""
    found: list[bytes] = []
    for jwk in calls.http.get("/.well-known/jwks.json").json()["keys"]:
        x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big") for name in ("x", "y"))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        compact = json.dumps(jwk, separators=(",", ":")).encode()
        found += [pem, pem.strip(), der, json.dumps(jwk).encode(), compact, jwk["kid"].encode(), b""]
    return found


def test_row_1_what_is_published_signs_nothing(calls: Calls, kinds: Mapping[str, str]) -> None:
    header, payload = parts_of(kinds["jwt"])
    _, device = parts_of(kinds["device"])

    for key in public_keys(calls):
        for head, body in (
            (header | {"alg": "HS256"}, payload),
            (header, payload),
            ({"alg": "HS256", "typ": "JWT"}, device),
        ):
            signed = f"{segment(json.dumps(head, separators=(',', ':')))}.{body}"
            tag = hmac.digest(key, signed.encode(), "sha256")
            assert refused(calls, f"{signed}.{segment(tag)}")


def test_row_2_no_header_leads_the_server_anywhere(calls: Calls, kinds: Mapping[str, str]) -> None:
    header, payload = parts_of(kinds["jwt"])
    signature = kinds["jwt"].rpartition(".")[2]
    with socket.create_server(("127.0.0.1", 0)) as attacker:
        attacker.setblocking(False)
        url = f"http://127.0.0.1:{attacker.getsockname()[1]}/"
        for more in (
            {"jku": f"{url}jwks.json"},
            {"x5u": f"{url}cert.pem"},
            {"jwk": {"kty": "oct", "k": "AAAA"}},
            {"x5c": ["AAAA"]},
            {"kid": f"{url}key"},
            {"kid": "../../../../../../etc/hostname"},
            {"kid": "' OR '1'='1"},
            {"kid": "\0"},
            {"kid": [header["kid"]]},
            {"crit": ["b64"], "b64": False},
            {"crit": ["exp"]},
            {"b64": False},
        ):
            head = segment(json.dumps(header | more, separators=(",", ":")))
            assert refused(calls, f"{head}.{payload}.{signature}")
        with contextlib.suppress(BlockingIOError):
            pytest.fail(f"the server called {attacker.accept()[1]}")


@pytest.mark.parametrize("kind", [*JWTS, *OPAQUE])
def test_row_3_another_spelling_of_a_good_token_is_refused(
    calls: Calls, kinds: Mapping[str, str], kind: str
) -> None:
    good = kinds[kind]
    spellings = [
        good + "=",
        good + "==",
        good + ".",
        good + ".AAAA",
        "." + good,
        good + "A",
        good[:-1],
        good[1:],
        good.swapcase(),
        good.replace(".", ".."),
        good.replace(":", "%3A"),
        good + "%0a",
        good.replace("_", "/").replace("-", "+"),
    ]

    assert calls.http.get("/v1/session", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    assert [text for text in spellings if text != good and not refused(calls, text)] == []


@pytest.mark.parametrize("kind", [*JWTS, *OPAQUE])
def test_row_3_a_changed_character_anywhere_is_refused(
    calls: Calls, kinds: Mapping[str, str], kind: str
) -> None:
    good = kinds[kind]
    passed = []
    for place in range(0, len(good), 7):
        other = chr(ord(good[place]) ^ 1)
        answer = calls.http.get(
            "/v1/session", headers={"Authorization": f"Bearer {good[:place]}{other}{good[place + 1 :]}"}
        )
        if answer.status_code != 401:
            passed.append(place)

    assert passed == []


@pytest.mark.parametrize("kind", JWTS)
def test_row_4_claims_that_are_told_twice_or_otherwise_keep_no_signature(
    calls: Calls, kinds: Mapping[str, str], kind: str
) -> None:
    header, payload, signature = kinds[kind].split(".")
    said = base64.urlsafe_b64decode(payload + "==").decode()
    for other in (
        said[:-1] + ',"exp":9999999999}',
        '{"exp":9999999999,' + said[1:],
        said.replace('"exp":', '"exp": '),
        "\ufeff" + said,
        said + " ",
    ):
        assert refused(calls, f"{header}.{segment(other)}.{signature}")
    assert refused(calls, f"{header}.{segment(said.encode('utf-16'))}.{signature}")
