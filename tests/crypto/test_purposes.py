from __future__ import annotations

import hmac

import pytest

from sessiond.crypto.purposes import Purpose, derive
from tests.crypto.material import KEY, PROJECT


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256, written from RFC 5869 section 2.3."""
    output, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


@pytest.mark.parametrize(
    ("key", "info", "output"),
    [
        (  # RFC 5869 appendix A.1
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (  # appendix A.3
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_the_reference_agrees_with_rfc_5869(key: str, info: str, output: str) -> None:
    assert expand(bytes.fromhex(key), bytes.fromhex(info), len(output) // 2).hex() == output


@pytest.mark.parametrize("purpose", Purpose)
def test_a_derived_key_is_the_one_of_rfc_5869_with_our_info(purpose: Purpose) -> None:
    info = f"sessiond|v1|{purpose.value}|{PROJECT}"

    assert derive(KEY, purpose, PROJECT) == expand(KEY, info.encode(), 32)
    assert derive(KEY, purpose, PROJECT, "7") == expand(KEY, f"{info}|7".encode(), 32)


def test_the_purposes_are_those_of_the_specification() -> None:
    assert {purpose.value for purpose in Purpose} == {
        "access",
        "refresh",
        "browser",
        "refresh.stack",
        "operator",
        "pin.access.hs256",
        "pin.refresh.hs256",
        "device.hs256",
        "jti",
        "csrf",
        "known_client",
        "lookup.server_key",
        "lookup.master_token",
        "lookup.device",
        "lookup.counter",
        "lookup.publishable_key",
        "lookup.pseudonym",
        "pin.pepper",
        "vault.kek",
        "audit",
    }
