"""Claims that a template adds: taken as far as they fit, ignored when they are read, and never one with a meaning."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto import jws
from sessiond.crypto.jws import LONGEST, Profile
from sessiond.domain.claim_templates import RESERVED
from sessiond.domain.documents import fits_jwts
from sessiond.domain.keys import SigningKey
from sessiond.services.token_forms import JWT_FORMS, Form
from tests.crypto.forging import CLAIMS, DEVICE, DEVICE_CLAIMS, HMAC_KEY, ISSUER, SIGNING, refused
from tests.crypto.material import PROJECT

NATIVE = JWT_FORMS[Form.NATIVE_JWT].profile
OPEN = msgspec.structs.replace(NATIVE, others=lambda _: True)
OPEN_DEVICE = msgspec.structs.replace(DEVICE, others=lambda _: True)
OWN = {**CLAIMS, "client_id": PROJECT}
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8"), max_size=300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def test_added_claims_are_signed_and_ignored() -> None:
    text = jws.sign(NATIVE, SIGNING, {**OWN, "tenant": "acme", "roles": ["a"], "act": {"sub": "bob"}})

    claims = jws.verify(NATIVE, text, SIGNING, issuer=ISSUER, audience=PROJECT)

    assert (claims["tenant"], claims["roles"], claims["sub"]) == ("acme", ["a"], "alice")


@given(VALUES | st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=2))
def test_what_fits_jwts_is_what_we_read_again(value: object) -> None:
    text = jws.sign(NATIVE, SIGNING, {**OWN, "added": value})

    read = jws.peek(text)

    assert (read is not None) is fits_jwts(value)


@pytest.mark.parametrize("name", sorted(RESERVED - OWN.keys() - {"act"}))
def test_a_claim_with_a_meaning_is_no_added_claim_even_under_a_right_signature(name: str) -> None:
    text = jws.sign(OPEN, SIGNING, {**OWN, name: "exchanged"})

    assert refused(text, NATIVE, SIGNING)


@pytest.mark.parametrize("name", ["", "a b", "1st", "ä"])
def test_a_name_that_no_template_has_is_refused(name: str) -> None:
    assert refused(jws.sign(OPEN, SIGNING, {**OWN, name: 1}), NATIVE, SIGNING)


def test_the_own_claims_stay_needed_and_typed() -> None:
    for changed in ({**OWN, "gen": "0"}, {name: value for name, value in OWN.items() if name != "gen"}):
        with pytest.raises(ValueError, match="profile"):
            jws.sign(NATIVE, SIGNING, {**changed, "tenant": "acme"})


def test_no_other_form_has_added_claims() -> None:
    assert [form for form, shape in JWT_FORMS.items() if shape.profile.others is not None] == [
        Form.NATIVE_JWT
    ]


@given(st.dictionaries(st.text("abcdefgh", min_size=1, max_size=8), VALUES, max_size=30), st.integers(0, 500))
def test_whatever_fits_makes_a_token_and_nothing_else_does(more: dict[str, object], longer: int) -> None:
    own = {**OWN, "sub": '"' * longer}

    kept = jws.fitting(NATIVE, SIGNING, own, more)

    assert len(jws.sign(NATIVE, SIGNING, {**own, **kept})) <= LONGEST
    for name, value in more.items():
        if name not in kept:
            assert too_long({**own, **kept, name: value})


def too_long(claims: dict[str, object]) -> bool:
    try:
        return len(jws.sign(NATIVE, SIGNING, claims)) > LONGEST - 4
    except ValueError:
        return True


@pytest.mark.parametrize("before", [{}, {"b": "y"}, {"b": "y", "c": [1, {"d": "z"}]}])
def test_the_longest_claim_that_fits_fills_the_token(before: dict[str, object]) -> None:
    fits = [n for n in range(LONGEST) if "a" in jws.fitting(NATIVE, SIGNING, OWN, {**before, "a": "x" * n})]
    longest = {**OWN, **before, "a": "x" * fits[-1]}

    assert fits == list(range(len(fits)))
    assert LONGEST - 4 < len(jws.sign(NATIVE, SIGNING, longest)) <= LONGEST
    with pytest.raises(ValueError, match="too long"):
        jws.sign(NATIVE, SIGNING, {**longest, "a": "x" * (fits[-1] + 3)})


@pytest.mark.parametrize(
    ("profile", "key", "claims"),
    [(OPEN, SIGNING, OWN), (OPEN_DEVICE, HMAC_KEY, DEVICE_CLAIMS)],
    ids=["ES256", "HS256"],
)
def test_a_claim_is_taken_to_the_last_character_that_a_token_may_have(
    profile: Profile, key: bytes | SigningKey, claims: dict[str, object]
) -> None:
    beside, longest = len(jws.sign(profile, key, {**claims, "added": ""})), 0

    for size in range((LONGEST - beside) * 3 // 4 - 4, (LONGEST - beside) * 3 // 4 + 8):
        added = {"added": "y" * size}
        try:
            longest = len(jws.sign(profile, key, {**claims, **added}))
        except ValueError:
            assert jws.fitting(profile, key, claims, added) == {}
        else:
            assert jws.fitting(profile, key, claims, added) == added

    assert LONGEST - 1 <= longest <= LONGEST


def test_a_token_of_the_longest_size_is_read() -> None:
    beside = len(jws.sign(OPEN_DEVICE, HMAC_KEY, {**DEVICE_CLAIMS, "added": ""}))
    size = (LONGEST - beside) * 3 // 4
    longest = jws.sign(OPEN_DEVICE, HMAC_KEY, {**DEVICE_CLAIMS, "added": "y" * size})

    assert len(longest) == LONGEST
    assert not refused(longest, OPEN_DEVICE)
    assert jws.peek(longest + "A") is None
