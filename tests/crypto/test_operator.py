from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.operator import OperatorToken, authentic, mint, parse
from sessiond.crypto.purposes import Purpose
from sessiond.domain.ids import SessionId
from tests.crypto.material import KEY, NONCE, OTHER_KEY, PROJECT, SESSION, two_projects

EXP = 1_900_000_000


def token(key: bytes = KEY) -> str:
    return mint(key, kid=7, session=SESSION, nonce=NONCE, exp=EXP)


def parsed(text: str) -> OperatorToken:
    found = parse(text)
    assert found is not None
    return found


@given(st.integers(0, 2**32 - 1), st.binary(min_size=16, max_size=16), st.integers(10**9, 10**10 - 1))
def test_what_is_minted_is_parsed_and_authentic(kid: int, octets: bytes, exp: int) -> None:
    found = parsed(mint(KEY, kid=kid, session=SessionId(octets), nonce=octets[::-1], exp=exp))

    assert (found.kid, found.session, found.nonce, found.exp) == (kid, octets, octets[::-1], exp)
    assert authentic(found, KEY)


def test_the_text_is_the_one_the_specification_describes() -> None:
    body = (7).to_bytes(4, "big") + SESSION + NONCE
    tag = hmac.new(KEY, b"session:1900000000:" + body, "sha256").digest()[:16]

    assert token() == f"session:1900000000:{(body + tag).hex()}"


def test_every_one_byte_mutant_is_refused() -> None:
    text = token()

    for position in range(len(text)):
        for code in range(256):
            if chr(code) != text[position]:
                found = parse(text[:position] + chr(code) + text[position + 1 :])
                assert found is None or not authentic(found, KEY)


@pytest.mark.parametrize(
    "text",
    [
        token().upper(),
        token().replace("session:", "session:0", 1),
        token() + "\n",
        token() + "00",
        token()[:-2],
        token().replace("1900000000", "0900000000"),
        token().replace("1900000000", "١٩٠٠٠٠٠٠٠٠"),
        "session::",
        "",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    assert parse(text) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    assert parse(f"session:{text}") is None


def test_another_key_is_refused() -> None:
    assert not authentic(parsed(token()), OTHER_KEY)


def test_a_new_generation_of_the_master_token_has_another_key() -> None:
    ring = two_projects()
    kid = ring.active_root(PROJECT).kid
    found = parsed(token(ring.key(kid, Purpose.OPERATOR, "1")))

    assert authentic(found, ring.key(kid, Purpose.OPERATOR, "1"))
    assert not authentic(found, ring.key(kid, Purpose.OPERATOR, "2"))


@pytest.mark.parametrize("exp", [0, 999_999_999, 10**10])
def test_an_instant_without_ten_digits_is_not_minted(exp: int) -> None:
    with pytest.raises(ValueError, match="ten digits"):
        mint(KEY, kid=1, session=SESSION, nonce=NONCE, exp=exp)


def test_a_parsed_token_does_not_print_what_would_forge_it() -> None:
    found = parsed(token())

    shown = repr(found) + repr(found.__rich_repr__())

    for secret in (found.nonce, found.tag):
        assert repr(secret) not in shown
        assert secret.hex() not in shown
