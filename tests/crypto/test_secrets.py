from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.checksum import checksum
from sessiond.crypto.secrets import Secret, SecretKind, acceptable_secret, mint_secret, mistyped_secret

TEXT = "sdk1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@given(st.sampled_from(SecretKind), st.binary(min_size=32, max_size=32))
def test_what_is_minted_is_acceptable(kind: SecretKind, entropy: bytes) -> None:
    text = mint_secret(kind, entropy)

    assert text.startswith(kind.value)
    assert len(text) == 54
    assert acceptable_secret(text)


def test_every_one_byte_mutant_is_refused() -> None:
    text = mint_secret(SecretKind.SERVER_KEY, bytes(range(32)))

    for position in range(len(text)):
        for code in range(256):
            if chr(code) != text[position]:
                assert not acceptable_secret(text[:position] + chr(code) + text[position + 1 :])


def test_a_second_text_for_the_same_32_bytes_is_refused() -> None:
    respelled = TEXT[:-1] + "B"

    assert acceptable_secret(TEXT + checksum(TEXT.encode()).decode())
    assert not acceptable_secret(respelled + checksum(respelled.encode()).decode())


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert not acceptable_secret(text)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_secret_is_made_of_32_bytes_only(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        mint_secret(SecretKind.CODE, bytes(size))


def test_a_secret_never_prints() -> None:
    secret = Secret("canary-7f3a")

    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        repr([secret]),
        "{0}".format(secret),  # noqa: UP030, UP032  this way too
    ]

    assert "canary" not in "".join(shown)
    assert secret.reveal() == "canary-7f3a"


def test_a_secret_is_not_serialized_by_accident() -> None:
    secret = Secret("canary-7f3a")

    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    with pytest.raises(TypeError):
        copy.copy(secret)


def test_secrets_compare_by_value_and_with_secrets_only() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("ä\ud800") != Secret("a")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_minted_secret_with_a_wrong_character_is_mistyped_and_another_text_is_not() -> None:
    text = mint_secret(SecretKind.SERVER_KEY, bytes(range(32)))

    assert mistyped_secret(text[:10] + ("x" if text[10] != "x" else "y") + text[11:])
    assert not mistyped_secret(text)
    assert not mistyped_secret("an-operators-own-secret-0123456789abcdef")


def test_a_secret_leaves_it_to_others_whether_they_are_equal_to_it() -> None:
    class Anything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = object.__hash__

    assert Secret("a") == Anything()
    assert (Secret("a") == "a") is False
