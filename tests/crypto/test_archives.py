from __future__ import annotations

import io
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sessiond.crypto.archives import MAGIC, open_archive, seal_archive, sealed_under
from sessiond.crypto.sealing import Unsealable

KEY, SALT, FINGERPRINT = b"k" * 32, b"s" * 32, "0123456789ab"
PIECE = 1 << 20
HEAD = len(MAGIC) + 12 + 32


def sealed(content: bytes, *, key: bytes = KEY, salt: bytes = SALT, note: bytes = b"") -> bytes:
    target = io.BytesIO()
    seal_archive(io.BytesIO(content), target, key=key, fingerprint=FINGERPRINT, salt=salt, note=note)
    return target.getvalue()


def opened(archive: bytes, *, key: bytes = KEY) -> bytes:
    target = io.BytesIO()
    open_archive(io.BytesIO(archive), target, key=key)
    return target.getvalue()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_what_is_sealed_opens_whatever_its_size(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    assert opened(sealed(content)) == content


def test_an_archive_names_its_key_and_another_file_none() -> None:
    assert sealed_under(io.BytesIO(sealed(b"content"))) == (FINGERPRINT, b"")
    assert sealed_under(io.BytesIO(b"SQLite format 3\0" + b"\0" * 100)) is None
    assert sealed_under(io.BytesIO(b"")) is None


def test_a_note_is_read_without_the_key_and_cannot_be_changed() -> None:
    archive = sealed(b"content", note=b"what opens the key")

    assert sealed_under(io.BytesIO(archive)) == (FINGERPRINT, b"what opens the key")
    assert opened(archive) == b"content"
    with pytest.raises(Unsealable):
        opened(archive.replace(b"what", b"Zhat"))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(Unsealable):
        opened(sealed(b"content"), key=b"K" * 32)


@pytest.mark.parametrize("position", [0, len(MAGIC), HEAD - 1, HEAD, HEAD + 5, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    archive = bytearray(sealed(b"content"))
    archive[position] ^= 1

    with pytest.raises(Unsealable):
        opened(bytes(archive))


@pytest.mark.parametrize("kept", [HEAD, HEAD + 1, HEAD + PIECE + 16, HEAD + 2 * (PIECE + 16), -1])
def test_a_cut_is_noticed_also_between_two_pieces(kept: int) -> None:
    archive = sealed(b"x" * 3 * PIECE)

    with pytest.raises(Unsealable):
        opened(archive[:kept])


def test_pieces_that_were_swapped_or_repeated_are_noticed() -> None:
    archive, size = sealed(b"a" * PIECE + b"b" * PIECE + b"c"), PIECE + 16
    head, first, second, last = (
        archive[:HEAD],
        archive[HEAD:][:size],
        archive[HEAD + size :][:size],
        archive[-17:],
    )

    for pieces in (
        (second, first, last),
        (first, first, second, last),
        (first, second, last, last),
        (first, last),
    ):
        with pytest.raises(Unsealable):
            opened(head + b"".join(pieces))


def test_equal_contents_look_different_under_another_salt() -> None:
    assert sealed(b"content")[HEAD:] != sealed(b"content", salt=b"t" * 32)[HEAD:]


def test_an_archive_of_today_can_be_opened_for_ever() -> None:
    """The bytes of one archive: another name of its key, nonce or head would leave all former ones closed."""
    archive = sealed(b"content" * 5)

    assert sha256(archive).hexdigest() == "c5f9cfd857d13b783a20da09929235c2b0c77d094fe7a6f91f528309d27001ad"
    archive = sealed(b"content" * 5, note=b"note")
    assert sha256(archive).hexdigest() == "f3f37d1ff7e1a3f507c895b35e31ae0094e9bfe660dee86bce1c5ccfe5b2e499"


@pytest.mark.parametrize(("salt", "fingerprint"), [(SALT[:-1], FINGERPRINT), (SALT, FINGERPRINT[:-1])])
def test_an_archive_takes_a_whole_salt_and_fingerprint(salt: bytes, fingerprint: str) -> None:
    with pytest.raises(ValueError, match="salt of 32 bytes"):
        seal_archive(io.BytesIO(b""), io.BytesIO(), key=KEY, fingerprint=fingerprint, salt=salt)


def test_a_head_without_a_whole_fingerprint_and_salt_is_no_archive() -> None:
    archive = sealed(b"content")

    assert sealed_under(io.BytesIO(archive[:HEAD])) == (FINGERPRINT, b"")
    assert sealed_under(io.BytesIO(archive[: HEAD - 1])) is None


def test_after_a_look_at_its_head_an_archive_can_be_opened() -> None:
    source, target = io.BytesIO(sealed(b"content")), io.BytesIO()

    sealed_under(source)
    open_archive(source, target, key=KEY)

    assert target.getvalue() == b"content"


def test_an_archive_is_what_the_description_says_so_that_later_versions_open_it() -> None:
    content, note = b"x" * PIECE + b"the second piece", b"what opens the key"
    derived = HKDF(algorithm=SHA256(), length=32, salt=SALT, info=b"sessiond|v1|archive").derive(KEY)
    head = b"sessiond-ar2" + FINGERPRINT.encode() + SALT + len(note).to_bytes(2) + note
    pieces = [
        AESGCM(derived).encrypt(number.to_bytes(8) + last + b"\0\0\0", piece, head)
        for number, last, piece in ((0, b"\0", content[:PIECE]), (1, b"\1", content[PIECE:]))
    ]

    assert sealed(content, note=note) == head + b"".join(pieces)
    assert sealed(content)[: len(MAGIC)] == b"sessiond-ar1"


def test_a_fingerprint_that_is_no_text_is_told_as_far_as_it_can_be() -> None:
    archive = MAGIC + b"abc\xff" * 3 + SALT

    assert sealed_under(io.BytesIO(archive)) == ("abc\N{REPLACEMENT CHARACTER}" * 3, b"")
    assert sealed_under(io.BytesIO(archive[:-1])) is None
