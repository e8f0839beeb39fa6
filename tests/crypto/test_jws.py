from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto import jws
from sessiond.crypto.jws import Profile
from sessiond.crypto.purposes import Purpose
from tests.crypto.forging import (
    CLAIMS,
    DEVICE,
    DEVICE_CLAIMS,
    GOOD_HEADER,
    HMAC_KEY,
    ISSUER,
    NATIVE,
    PIN,
    RING,
    SIGNING,
    STACK,
    forged,
    refused,
    segment,
)
from tests.crypto.material import OTHER_PROJECT, PROJECT


def compact(document: Mapping[str, object]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def test_what_is_signed_verifies() -> None:
    for profile, key, claims in (
        (NATIVE, SIGNING, CLAIMS),
        (STACK, SIGNING, CLAIMS | {"name": None, "is_anonymous": False, "reason": {"type": "anonymous"}}),
        (STACK, SIGNING, CLAIMS | {"name": "Zoë 🦜 \\ud83d", "is_anonymous": True, "reason": None}),
        (DEVICE, HMAC_KEY, DEVICE_CLAIMS),
        (PIN, HMAC_KEY, CLAIMS | {"name": "bob"}),
    ):
        text = jws.sign(profile, key, claims)

        verified = jws.verify(profile, text, key, issuer=ISSUER, audience=PROJECT)

        assert verified == claims | (dict([profile.use]) if profile.use else {})


def test_the_header_is_exactly_the_one_of_the_profile_in_its_order() -> None:
    stack = CLAIMS | {"name": None, "is_anonymous": False, "reason": None}
    heads = [
        base64.urlsafe_b64decode(text.split(".")[0] + "==")
        for text in (
            jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS),
            jws.sign(STACK, SIGNING, stack),
            jws.sign(NATIVE, SIGNING, CLAIMS),
        )
    ]

    assert heads == [
        b'{"alg":"HS256","typ":"JWT"}',
        f'{{"alg":"ES256","kid":"{SIGNING.kid}"}}'.encode(),
        f'{{"alg":"ES256","kid":"{SIGNING.kid}","typ":"at+jwt"}}'.encode(),
    ]


def test_any_derived_key_signs_and_verifies_and_no_other_does() -> None:
    first, second = b"\x05" * 32, b"\x06" * 32

    text = jws.sign(DEVICE, first, DEVICE_CLAIMS)

    assert text == forged(compact(GOOD_HEADER), compact(DEVICE_CLAIMS), first)
    assert not refused(text, key=first)
    assert refused(text, key=second)


def test_letters_are_signed_as_they_are_not_as_escapes() -> None:
    claims = DEVICE_CLAIMS | {"sub": "Zoë 🦜"}

    assert jws.sign(DEVICE, HMAC_KEY, claims) == forged(compact(GOOD_HEADER), compact(claims))


def test_the_same_claims_have_the_same_text() -> None:
    assert jws.sign(NATIVE, SIGNING, CLAIMS) == jws.sign(NATIVE, SIGNING, CLAIMS)


def test_the_forge_of_these_tests_makes_tokens_that_pass() -> None:
    assert not refused(forged(GOOD_HEADER, DEVICE_CLAIMS))


def test_another_key_of_the_ring_is_refused() -> None:
    kid = RING.active_root(PROJECT).kid
    text = jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS)

    for purpose in Purpose:
        assert refused(text, key=RING.key(kid, purpose)) == (purpose is not Purpose.DEVICE_HS256)
    assert refused(text, key=RING.key(RING.active_root(OTHER_PROJECT).kid, Purpose.DEVICE_HS256))


def test_a_token_of_another_profile_under_the_same_key_is_refused() -> None:
    refresh = Profile(alg="HS256", typ="JWT", claims=PIN.claims, use=("token_use", "refresh"))
    text = jws.sign(refresh, HMAC_KEY, CLAIMS | {"name": "bob"})

    assert not refused(text, refresh)
    assert refused(text, PIN)
    assert refused(text, DEVICE)


def test_peek_finds_the_project_before_the_key_is_known() -> None:
    unverified = jws.peek(jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS))

    assert unverified is not None
    assert unverified.header == GOOD_HEADER
    assert unverified.claims["aud"] == PROJECT
    assert "alice" not in repr(unverified) + repr(unverified.__rich_repr__())


@pytest.mark.parametrize("more", ["\n", ".", ".AAAA", "=", " ", "\0"])
def test_peek_reads_the_whole_text_or_nothing(more: str) -> None:
    text = jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS)

    assert jws.peek(text) is not None
    assert jws.peek(text + more) is None
    assert jws.peek(more + text) is None


@given(st.text())
def test_peek_never_raises(text: str) -> None:
    assert jws.peek(text) is None
    assert jws.peek(
        f"eyJhbGciOiJIUzI1NiJ9.{segment(text)}.{segment(text)}"
    ) is None or text.lstrip().startswith("{")


def test_claims_that_are_not_the_profiles_are_not_signed() -> None:
    for claims in (CLAIMS, DEVICE_CLAIMS | {"exp": 1.5}, DEVICE_CLAIMS | {"more": 1}):
        with pytest.raises(ValueError, match="profile"):
            jws.sign(DEVICE, HMAC_KEY, claims)


def test_a_token_too_long_to_be_accepted_is_not_signed() -> None:
    with pytest.raises(ValueError, match="too long"):
        jws.sign(DEVICE, HMAC_KEY, DEVICE_CLAIMS | {"sub": "a" * 4096})


def test_a_key_of_the_other_algorithm_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        jws.sign(NATIVE, HMAC_KEY, CLAIMS)
    with pytest.raises(TypeError):
        jws.sign(DEVICE, SIGNING, DEVICE_CLAIMS)


def test_the_examples_of_rfc_7515_are_read_and_refused_as_they_name_no_audience() -> None:
    # Appendix A.1: HS256, with line breaks inside its JSON.
    example = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    claims = {"iss": str, "exp": int, "http://example.com/is_root": bool}

    unverified = jws.peek(example)

    assert unverified is not None
    assert unverified.claims == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    assert refused(example, Profile(alg="HS256", typ="JWT", claims=claims), key, issuer="joe", audience="")
