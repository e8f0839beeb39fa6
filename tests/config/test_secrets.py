from __future__ import annotations

import os
from pathlib import Path

import pytest

from sessiond.config.loading import load
from sessiond.config.secrets import check_private, decode_key, encode_key
from sessiond.domain.errors import Misconfigured

GOOD = "Zq3v8yB1kT6wM0rX9cN4hL7pD2sF5gJe"
OTHER = "b8KzR1nW5tYc0QmJ7vXh3LdP9sGf2EuA"
KEY = encode_key(bytes(range(32)))


def kept(path: Path, text: str, mode: int = 0o600, name: str = "secret") -> Path:
    file = path / name
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_secret_is_taken_out_of_the_environment_once_it_is_read() -> None:
    environ = {"SESSIOND_SERVER_KEY": GOOD, "SESSIOND_KEY": KEY, "PATH": "/bin"}

    secrets = load(environ=environ).secrets

    assert secrets.server_key is not None
    assert secrets.server_key.secret.reveal() == GOOD
    assert environ == {"PATH": "/bin"}


def test_a_secret_can_be_in_a_file_named_by_variable_or_setting(tmp_path: Path) -> None:
    first, second = (kept(tmp_path, text, name=text[:4]) for text in (GOOD + "\n", OTHER))
    config = tmp_path / "c.toml"
    config.write_text(f'master_token_file = "{first}"\n')

    secrets = load(config=config, environ={"SESSIOND_SERVER_KEY_FILE": str(second)}).secrets

    assert secrets.server_key is not None
    assert secrets.master_token is not None
    assert (secrets.master_token.secret.reveal(), secrets.server_key.secret.reveal()) == (GOOD, OTHER)


def test_one_secret_for_two_purposes_is_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, GOOD)

    with pytest.raises(Misconfigured, match="give the same secret"):
        load(environ={"SESSIOND_SERVER_KEY": GOOD, "SESSIOND_MASTER_TOKEN_FILE": str(file)})


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, GOOD)

    with pytest.raises(Misconfigured, match="both set"):
        load(environ={"SESSIOND_SERVER_KEY": GOOD, "SESSIOND_SERVER_KEY_FILE": str(file)})


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("tiny-7", "shorter than 32"),
        ("a" * 40, "repeats the same few characters"),
        ("abcdefgh" * 5, "repeats the same few characters"),
        ("changeme-changeme-changeme-changeme-1", "an example or a default"),
        ("My-Password-Is-Long-Enough-But-Known", "an example or a default"),
        ("with spaces in it 0123456789 abcdefghi", "without spaces"),
        ("schlüssel-0123456789-abcdefghijklmnop", "visible ASCII"),
        (GOOD * 20, "longer than 512"),
        ("sdk1_" + GOOD + GOOD, "a character of it is wrong"),
    ],
)
def test_a_weak_secret_is_refused_without_showing_it(text: str, part: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load(environ={"SESSIOND_SERVER_KEY": text})

    assert part in str(refused.value)
    assert text not in str(refused.value)
    assert str(refused.value).startswith("SESSIOND_SERVER_KEY ")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o602])
def test_a_secret_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    file = kept(tmp_path, GOOD, mode)

    with pytest.raises(Misconfigured, match=rf"mode {mode:04o}.*chmod 600"):
        load(environ={"SESSIOND_MASTER_TOKEN_FILE": str(file)})


def test_a_secret_file_of_another_user_is_refused(tmp_path: Path) -> None:
    stranger = os.geteuid() + 12345
    status = os.stat_result((0o100600, 0, 0, 1, stranger, 0, 32, 0, 0, 0))

    with pytest.raises(Misconfigured, match=rf"belongs to another user \(uid {stranger}\)"):
        check_private(tmp_path / "secret", status)


def test_a_secret_file_that_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        load(environ={"SESSIOND_MASTER_TOKEN_FILE": str(tmp_path / "none")})
    with pytest.raises(Misconfigured, match="is no regular file"):
        load(environ={"SESSIOND_MASTER_TOKEN_FILE": str(tmp_path)})


@pytest.mark.parametrize("text", ["", "\n", "\xff\xfe"])
def test_a_secret_file_without_a_secret_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(text.encode("latin-1"))
    file.chmod(0o600)

    with pytest.raises(Misconfigured, match="empty or holds no secret"):
        load(environ={"SESSIOND_MASTER_TOKEN_FILE": str(file)})


@pytest.mark.parametrize("text", ["abc", KEY + "AA", KEY[:-1] + "!", "=" + KEY[1:], KEY[:-1] + "9"])
def test_a_wrapping_key_that_is_not_32_bytes_in_base64url_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="32 random bytes in base64url"):
        load(environ={"SESSIOND_KEY": text})


def test_a_wrapping_key_of_one_repeated_byte_is_refused() -> None:
    with pytest.raises(Misconfigured, match="is not random"):
        load(environ={"SESSIOND_KEY": encode_key(b"\x07" * 32)})


def test_a_wrapping_key_may_be_padded() -> None:
    assert decode_key(KEY + "=", where="key") == decode_key(KEY, where="key") == bytes(range(32))


def test_secrets_do_not_print() -> None:
    loaded = load(environ={"SESSIOND_SERVER_KEY": GOOD, "SESSIOND_MASTER_TOKEN": GOOD[::-1]})

    assert GOOD not in repr(loaded)
    assert GOOD[::-1] not in repr(loaded)
