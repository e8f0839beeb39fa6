from __future__ import annotations

import base64
import hmac

from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.jti import authentic_jti, mint_jti
from sessiond.domain.ids import SessionId
from tests.crypto.material import KEY, NONCE, OTHER_KEY, SESSION

EIGHT = bytes(8)


def minted() -> str:
    return mint_jti(KEY, session=SESSION, nonce=NONCE, generation=3, entropy8=EIGHT)


@given(st.binary(min_size=8, max_size=8), st.integers(0, 2**32 - 1))
def test_what_is_minted_is_authentic(entropy: bytes, generation: int) -> None:
    text = mint_jti(KEY, session=SESSION, nonce=NONCE, generation=generation, entropy8=entropy)

    assert len(text) == 32
    assert authentic_jti(KEY, text, session=SESSION, nonce=NONCE, generation=generation)


def test_the_text_is_the_one_the_specification_describes() -> None:
    tag = hmac.new(KEY, SESSION + NONCE + b"\0\0\0\3" + EIGHT, "sha256").digest()[:16]

    assert minted() == base64.urlsafe_b64encode(EIGHT + tag).decode()


def test_two_of_one_generation_differ() -> None:
    another = mint_jti(KEY, session=SESSION, nonce=NONCE, generation=3, entropy8=b"\1" * 8)

    assert another != minted()


def test_another_key_session_nonce_or_generation_is_refused() -> None:
    text = minted()

    assert not authentic_jti(OTHER_KEY, text, session=SESSION, nonce=NONCE, generation=3)
    assert not authentic_jti(KEY, text, session=SessionId(NONCE), nonce=NONCE, generation=3)
    assert not authentic_jti(KEY, text, session=SESSION, nonce=SESSION, generation=3)
    assert not authentic_jti(KEY, text, session=SESSION, nonce=NONCE, generation=4)


def test_a_generation_that_no_row_can_have_is_refused() -> None:
    for generation in (-1, 2**32, 10**14):
        assert not authentic_jti(KEY, minted(), session=SESSION, nonce=NONCE, generation=generation)


def test_every_one_byte_mutant_is_refused() -> None:
    text = minted()

    for position in range(len(text)):
        for code in range(256):
            if chr(code) != text[position]:
                mutant = text[:position] + chr(code) + text[position + 1 :]
                assert not authentic_jti(KEY, mutant, session=SESSION, nonce=NONCE, generation=3)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert not authentic_jti(KEY, text, session=SESSION, nonce=NONCE, generation=3)
