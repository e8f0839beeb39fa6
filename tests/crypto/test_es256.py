from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.errors import InvalidKeyCurveError
from joserfc.jwk import ECKey

from sessiond.crypto.es256 import DeterministicES256, draw_scalar, key_pair, public_jwk
from sessiond.domain.keys import Audience, KeyState, SigningKey
from tests.crypto.material import NOW, PROJECT

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# RFC 6979 appendix A.2.5
SCALAR = bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
X = bytes.fromhex("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6")
Y = bytes.fromhex("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")


@pytest.mark.parametrize(
    ("message", "signature"),
    [
        (
            b"sample",
            (
                "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
            ),
        ),
        (
            b"test",
            (
                "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"
            ),
        ),
    ],
)
def test_signatures_are_those_of_rfc_6979(message: bytes, signature: str) -> None:
    pair = key_pair(SCALAR)

    assert DeterministicES256().sign(message, pair) == bytes.fromhex(signature)
    assert DeterministicES256().verify(message, bytes.fromhex(signature), pair)
    assert not DeterministicES256().verify(message + b".", bytes.fromhex(signature), pair)


def test_the_example_of_rfc_7515_verifies() -> None:
    # Appendix A.3.
    key = ECKey.import_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }
    )
    signed = (
        b"eyJhbGciOiJFUzI1NiJ9"
        b".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = base64.urlsafe_b64decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q=="
    )

    assert DeterministicES256().verify(signed, signature, key)


def test_the_public_half_has_exactly_the_members_of_a_jwks() -> None:
    key = SigningKey(
        project=PROJECT,
        state=KeyState.ACTIVE,
        created_at=NOW,
        secret=SCALAR,
        kid="abcdefghijkl",
        audience=Audience.NATIVE,
    )

    jwk = public_jwk(key)

    assert jwk == {
        "alg": "ES256",
        "crv": "P-256",
        "kid": "abcdefghijkl",
        "kty": "EC",
        "x": base64.urlsafe_b64encode(X).rstrip(b"=").decode(),
        "y": base64.urlsafe_b64encode(Y).rstrip(b"=").decode(),
    }


@pytest.mark.parametrize(
    "entropy", [bytes(48), b"\xff" * 48, (ORDER - 1).to_bytes(48, "big"), ORDER.to_bytes(48, "big")]
)
def test_every_draw_is_a_scalar_of_the_curve(entropy: bytes) -> None:
    assert 1 <= int.from_bytes(draw_scalar(entropy), "big") < ORDER


def test_a_scalar_is_drawn_from_48_bytes_only() -> None:
    with pytest.raises(ValueError, match="48 bytes"):
        draw_scalar(bytes(32))


@pytest.mark.parametrize(
    ("drawn", "scalar"), [(0, 1), (1, 2), (ORDER - 2, ORDER - 1), (ORDER - 1, 1), (2 * ORDER - 3, ORDER - 1)]
)
def test_every_scalar_of_the_curve_can_be_drawn_and_no_other(drawn: int, scalar: int) -> None:
    assert int.from_bytes(draw_scalar(drawn.to_bytes(48, "big")), "big") == scalar


def test_the_algorithm_has_its_name_and_takes_keys_of_its_curve_only() -> None:
    algorithm = DeterministicES256()
    other = ECKey.import_key(ec.derive_private_key(7, ec.SECP256K1()))

    assert algorithm.name == "ES256"
    algorithm.check_key(key_pair(SCALAR))
    with pytest.raises(InvalidKeyCurveError):
        algorithm.check_key(other)
