from __future__ import annotations

import pytest
from argon2 import extract_parameters

from sessiond.crypto.pins import DUMMY, hash_pin, matches
from sessiond.domain.errors import Unavailable
from tests.crypto.material import KEY, OTHER_KEY

SALT = bytes(range(16))
HASH = hash_pin("1234", KEY, salt=SALT)


def test_the_right_pin_matches_and_another_does_not() -> None:
    assert matches(HASH, "1234", KEY)
    for wrong in ("1235", "", "1234 ", "12340", "\ud800"):
        assert not matches(HASH, wrong, KEY)


def test_another_pepper_matches_nothing() -> None:
    assert not matches(HASH, "1234", OTHER_KEY)


def test_the_salt_makes_equal_pins_different() -> None:
    another = hash_pin("1234", KEY, salt=SALT[::-1])

    assert another != HASH
    assert matches(another, "1234", KEY)


def test_the_parameters_are_those_of_the_specification() -> None:
    assert HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_dummy_costs_what_a_real_hash_costs_and_matches_nothing() -> None:
    assert extract_parameters(DUMMY) == extract_parameters(HASH)
    assert not matches(DUMMY, "1234", KEY)
    assert not matches(DUMMY, "", KEY)


def test_neither_pin_nor_pepper_is_in_the_hash() -> None:
    assert "1234" not in hash_pin("1234" * 4, KEY, salt=SALT)
    assert KEY.hex() not in HASH


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", HASH[:40], HASH.replace("argon2id", "argon2i")])
def test_a_stored_text_that_is_no_hash_is_unavailable(stored: str) -> None:
    with pytest.raises(Unavailable) as refused:
        matches(stored, "1234", KEY)
    assert refused.value.code == "pin_unreadable"


def test_a_salt_is_16_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        hash_pin("1234", KEY, salt=b"short")
