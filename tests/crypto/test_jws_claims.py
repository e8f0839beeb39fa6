"""The attack cases 4, 5 and 8 against the front of every JWT (claims, size): all refused alike."""

from __future__ import annotations

import json
import time

import pytest

from sessiond.crypto import jws
from sessiond.crypto.jws import Profile
from tests.crypto.forging import (
    CLAIMS,
    COMMON,
    DEVICE_CLAIMS,
    GOOD_HEADER,
    HMAC_KEY,
    STACK,
    forged,
    refused,
)
from tests.crypto.material import OTHER_PROJECT

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


@pytest.mark.parametrize("number", ["1.0", "1e2", "NaN", "Infinity", "-Infinity", "-1", "1" * 16])
def test_case_4_a_number_of_ours_is_an_integer_also_below(number: str) -> None:
    claims = CLAIMS | {"name": None, "is_anonymous": False, "reason": {"a": 1}}
    profile = Profile(alg="HS256", claims=STACK.claims)

    assert refused(
        forged({"alg": "HS256"}, json.dumps(claims).replace('{"a": 1}', f'{{"a": {number}}}')), profile
    )


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
