from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.sealing import Unsealable, seal, unseal
from tests.crypto.material import KEY, OTHER_KEY

NONCE = bytes(range(12))


@given(st.binary(max_size=200), st.binary(max_size=50), st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens(plaintext: bytes, aad: bytes, nonce: bytes) -> None:
    box = seal(KEY, plaintext, aad=aad, entropy=nonce)

    assert unseal(KEY, box, aad=aad) == plaintext
    assert box[:13] == b"\x01" + nonce
    assert len(box) == 13 + len(plaintext) + 16


def test_another_key_or_other_associated_data_does_not_open_it() -> None:
    box = seal(KEY, b"secret", aad=b"project|table|row|1", entropy=NONCE)

    for key, aad in ((OTHER_KEY, b"project|table|row|1"), (KEY, b"project|table|row|2"), (KEY, b"")):
        with pytest.raises(Unsealable):
            unseal(key, box, aad=aad)


def test_every_changed_byte_is_noticed() -> None:
    box = seal(KEY, b"secret", aad=b"row", entropy=NONCE)

    for position in range(len(box)):
        changed = box[:position] + bytes([box[position] ^ 0x80]) + box[position + 1 :]
        with pytest.raises(Unsealable):
            unseal(KEY, changed, aad=b"row")


def test_every_cut_is_noticed() -> None:
    box = seal(KEY, b"secret", aad=b"row", entropy=NONCE)

    for length in range(len(box)):
        with pytest.raises(Unsealable):
            unseal(KEY, box[:length], aad=b"row")
    with pytest.raises(Unsealable):
        unseal(KEY, box + b"\0", aad=b"row")


@pytest.mark.parametrize("size", [0, 11, 13, 16])
def test_a_box_takes_12_bytes_of_entropy(size: int) -> None:
    with pytest.raises(ValueError, match="12 bytes"):
        seal(KEY, b"secret", aad=b"row", entropy=bytes(size))


def test_a_box_of_nothing_opens_and_a_shorter_one_is_of_no_version() -> None:
    box = seal(KEY, b"", aad=b"aad", entropy=bytes(12))

    assert len(box) == 1 + 12 + 16
    assert unseal(KEY, box, aad=b"aad") == b""
    with pytest.raises(Unsealable, match="no version"):
        unseal(KEY, box[:-1], aad=b"aad")
