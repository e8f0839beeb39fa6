"""What the front of every JWT reads: each text that we write, and no second one for the same value."""

from __future__ import annotations

import re

import pytest

from sessiond.crypto.strict import members, octets
from tests.crypto.forging import segment


@pytest.mark.parametrize("size", [0, 1, 2, 3, 32])
def test_whatever_is_written_is_read_again(size: int) -> None:
    for last in range(256):
        written = (bytes([255 - last]) * size + bytes([last]))[1:] if size else b""

        assert octets(segment(written)) == written


@pytest.mark.parametrize("text", ["AB", "AAB", "AA=", "AA==", "A"])
def test_another_text_for_the_same_octets_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        octets(text)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b'{"a":1,"a":1}', "a member occurs twice"),
        (b'{"b":{"a":1,"a":1}}', "a member occurs twice"),
        (b'{"a":-1}', "no integer of ours"),
        (b'{"a":1000000000000000}', "no integer of ours"),
        (b'{"a":1.50000000000000000000000001}', "no number of ours: 1.500000000000000000"),
        (b'{"a":1e3}', "no number of ours: 1e3"),
        (b'{"a":NaN}', "no number of ours: NaN"),
        (b'[{"a":1}]', "no JSON object"),
        (b"[" * 100_000, "nested too deep"),
    ],
    ids=["twice", "twice within", "negative", "16 digits", "fraction", "exponent", "NaN", "array", "deep"],
)
def test_what_we_never_write_is_refused(document: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        members(document)


def test_fifteen_digits_are_read() -> None:
    assert members(b'{"a":999999999999999,"b":0}') == {"a": 999_999_999_999_999, "b": 0}


@pytest.mark.parametrize("document", [b'{"a":"\\ud83d"}', b'{"\\udc00":1}', b'{"a":["\\ud83dx"]}', b'"\xff"'])
def test_what_utf_8_cannot_say_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"codec|surrogates"):
        members(document)
    assert members(b'{"a":"\\ud83e\\udd9c"}') == {"a": "\N{PARROT}"}
