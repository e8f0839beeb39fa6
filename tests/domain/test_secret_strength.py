from __future__ import annotations

import base64
import os

import pytest

from sessiond.domain.secret_strength import weakness


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
