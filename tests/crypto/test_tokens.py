from __future__ import annotations

import base64
import hmac
import struct
import zlib
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.crypto.checksum import checksum
from sessiond.crypto.tokens import PURPOSES, Mint, Opaque, TokenKind, parse
from sessiond.domain.ids import SessionId
from tests.crypto.material import KEY, NONCE, OTHER_KEY, OTHER_PROJECT, PROJECT, SESSION, two_projects

U32 = st.integers(0, 2**32 - 1)
KINDS = st.sampled_from(TokenKind)


def token(kind: TokenKind = TokenKind.ACCESS, key: bytes = KEY) -> str:
    return Mint(kind, 7, key).token(session=SESSION, nonce=NONCE, generation=3, exp=1_900_000_000)


def authentic(found: Opaque, key: bytes) -> bool:
    return Mint(found.kind, found.kid, key).made(found)


def checked(text: str) -> str:
    """The text with a check that fits, as an attacker would write it."""
    return text[:85] + checksum(text[:85].encode()).decode()


def parsed(text: str) -> Opaque:
    found = parse(text)
    assert found is not None
    return found


@given(KINDS, U32, st.binary(min_size=16, max_size=16), U32, U32)
def test_what_is_minted_is_parsed_and_authentic(
    kind: TokenKind, kid: int, octets: bytes, generation: int, exp: int
) -> None:
    nonce = octets[::-1]
    minted = Mint(kind, kid, KEY)
    text = minted.token(session=SessionId(octets), nonce=nonce, generation=generation, exp=exp)

    found = parsed(text)

    assert (found.kind, found.kid, found.session, found.nonce) == (kind, kid, octets, nonce)
    assert (found.generation, found.exp) == (generation, exp)
    assert authentic(found, KEY)


def test_the_text_is_the_one_the_specification_describes() -> None:
    body = struct.pack(">I16s16sII", 7, SESSION, NONCE, 3, 1_900_000_000)
    tag = hmac.new(KEY, b"sda1_" + body, "sha256").digest()[:16]
    head = b"sda1_" + base64.urlsafe_b64encode(body + tag)
    check = base64.urlsafe_b64encode(zlib.crc32(head).to_bytes(4, "big") + b"\0\0")[:6]

    assert token() == (head + check).decode()
    assert len(token()) == 91


def test_every_one_byte_mutant_is_refused_before_the_key_is_asked() -> None:
    text = token()

    for position in range(len(text)):
        for code in range(256):
            if chr(code) != text[position]:
                assert parse(text[:position] + chr(code) + text[position + 1 :]) is None


def test_every_flipped_bit_is_refused_by_the_mac_when_the_check_is_made_to_fit() -> None:
    text = token()
    box = base64.urlsafe_b64decode(text[5:85])

    for bit in range(len(box) * 8):
        flipped = bytearray(box)
        flipped[bit // 8] ^= 1 << bit % 8
        mutant = checked(text[:5] + base64.urlsafe_b64encode(flipped).decode())
        assert not authentic(parsed(mutant), KEY)


@pytest.mark.parametrize(("mine", "other"), list(permutations(TokenKind, 2)))
def test_a_token_of_one_kind_is_not_authentic_as_another(mine: TokenKind, other: TokenKind) -> None:
    disguised = checked(other.value + token(mine)[5:])

    assert not authentic(parsed(disguised), KEY)


def test_each_kind_and_project_has_its_own_key() -> None:
    ring = two_projects()
    roots = [ring.active_root(project) for project in (PROJECT, OTHER_PROJECT)]
    keys = [ring.key(root.kid, PURPOSES[kind]) for root in roots for kind in TokenKind]

    assert len(set(keys)) == len(keys)
    for minted_with in keys:
        found = parsed(token(key=minted_with))
        assert [authentic(found, key) for key in keys] == [key == minted_with for key in keys]


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    assert parse(text) is None


@given(KINDS, st.text(alphabet=st.characters(), min_size=86, max_size=86))
def test_no_text_of_the_right_length_and_prefix_makes_the_parser_raise(kind: TokenKind, rest: str) -> None:
    assert parse(kind.value + rest) is None


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: f" {text}",
        lambda text: f"{text}\n",
        lambda text: f"{text}=",
        lambda text: text[:-1],
        lambda text: text[:-1] + "=",
        lambda text: text.upper(),
        lambda text: text.replace("-", "+").replace("_", "/"),
        lambda text: text[:90] + "\ud800",
        lambda text: text[:90] + "\uff10",
        lambda _: "",
    ],
)
def test_other_spellings_of_a_token_are_refused(changed: object) -> None:
    assert callable(changed)

    assert parse(changed(token())) is None


@pytest.mark.parametrize("foreign", ["+", "/", "=", " ", "\n", ".", "\0", "\x7f"])
def test_a_foreign_character_is_refused_when_the_check_is_made_to_fit(foreign: str) -> None:
    text = token()

    for position in range(5, 85):
        assert parse(checked(text[:position] + foreign + text[position + 1 :])) is None


def test_another_key_is_refused() -> None:
    assert not authentic(parsed(token()), OTHER_KEY)


def test_a_parsed_token_does_not_print_what_would_forge_it() -> None:
    found = parsed(token())

    shown = repr(found) + repr(found.__rich_repr__())

    assert "ACCESS" in shown
    for secret in (found.nonce, found.tag, found.body):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


@pytest.mark.parametrize(("session", "nonce"), [(b"short", NONCE), (SESSION, b"short")])
def test_ids_of_another_size_are_not_minted(session: bytes, nonce: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Mint(TokenKind.ACCESS, 1, KEY).token(session=SessionId(session), nonce=nonce, generation=0, exp=0)


@pytest.mark.parametrize("prefix", ["sdA1_", "sda2_", "sdk1_", "sda1-", "AAAAA"])
def test_a_prefix_of_no_kind_is_refused_though_its_check_fits(prefix: str) -> None:
    assert parse(checked(prefix + token()[5:])) is None
