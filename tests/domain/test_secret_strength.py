from __future__ import annotations

import base64
import os

import pytest

from sessiond.domain.secret_strength import LONGEST, SHORTEST, weakness


@pytest.mark.parametrize(
    "text",
    ["0123456789abcdef" * 2, "bench-server-key-000000000000000000", "test-master-token-0123456789abcdefgh"],
)
def test_a_long_varied_secret_is_accepted(text: str) -> None:
    assert weakness(text) is None


def test_random_secrets_are_accepted() -> None:
    assert all(weakness(base64.urlsafe_b64encode(os.urandom(24)).decode()) is None for _ in range(1000))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 31,
        "x" * 64,
        "xy" * 20,
        "12345678" * 4,
        "please-ChangeMe-0123456789-abcdefghij",
        "a b" * 20,
        "é" * 40,
    ],
)
def test_a_weak_secret_is_told_why(text: str) -> None:
    assert weakness(text)


VARIED = "0123456789-ABCDEFGHIJKLMNOPQRSTUV" * 20


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (VARIED[: SHORTEST - 1], "is shorter than 32 characters"),
        (VARIED[: LONGEST + 1], "is longer than 512 characters"),
        ("abc" + "cabacbbca" * 4 + "a", "repeats the same few characters"),
        ("abcdefgh" * 5, "repeats the same few characters"),
        ("abcdefgh" * 4 + "abc", "repeats the same few characters"),
        ("my-P.a.s.s.W.o.r.d-is-0123456789-xyz", "is an example or a default, which others know"),
        (VARIED[:40] + " ", "must consist of visible ASCII characters, without spaces"),
        (VARIED[:40] + "\x7f", "must consist of visible ASCII characters, without spaces"),
        (VARIED[:40] + "ä", "must consist of visible ASCII characters, without spaces"),
    ],
)
def test_each_weakness_has_its_sentence(text: str, why: str) -> None:
    assert weakness(text) == why


@pytest.mark.parametrize(
    "text",
    [VARIED[:SHORTEST], VARIED[:LONGEST], "abcdefghi" * 4, "abcd" + "abdcdabccbad" * 3],
    ids=["shortest", "longest", "nine characters over and over", "four characters in no order"],
)
def test_what_is_just_strong_enough_is_accepted(text: str) -> None:
    assert weakness(text) is None
