"""Secrets that are given from outside: by a variable, or in a file that only its owner can read."""

from __future__ import annotations

import binascii
import itertools
import os
import re
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path

import msgspec

from sessiond.config.settings import (
    KEY,
    MASTER_TOKEN,
    METRICS_TOKEN,
    NEXT_KEY,
    PUBLISHABLE_CLIENT_KEY,
    SECRETS,
    SERVER_KEY,
    SecretSetting,
)
from sessiond.config.sources import Given, Origin, Source
from sessiond.crypto.secrets import Secret, mistyped_secret
from sessiond.domain.errors import Misconfigured
from sessiond.domain.secret_strength import weakness

KEY_BYTES = 32
_LARGEST = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_KEY_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}=?")


class GivenSecret(msgspec.Struct, frozen=True):
    """A secret and where it came from."""

    secret: Secret
    origin: Origin


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The secrets that were given; None where none was."""

    key: GivenSecret | None = None
    next_key: GivenSecret | None = None
    server_key: GivenSecret | None = None
    master_token: GivenSecret | None = None
    publishable_client_key: GivenSecret | None = None
    metrics_token: GivenSecret | None = None

    def of(self, setting: SecretSetting) -> GivenSecret | None:
        """Return what was given for *setting*."""
        found: GivenSecret | None = getattr(self, setting.name.rpartition(".")[2])
        return found


def read_secrets(environ: MutableMapping[str, str], given: Mapping[str, Given]) -> Secrets:
    """Take the secrets out of *environ*, and read those whose file *given* names.

    Raises `Misconfigured` for one that is given twice, weak, the same as another, or in a file that others can read.
    """
    found = {secret.name: _read(secret, environ, given.get(secret.file_setting)) for secret in SECRETS}
    _check_different([secret for secret in found.values() if secret is not None])
    return Secrets(
        key=found[KEY.name],
        next_key=found[NEXT_KEY.name],
        server_key=found[SERVER_KEY.name],
        master_token=found[MASTER_TOKEN.name],
        publishable_client_key=found[PUBLISHABLE_CLIENT_KEY.name],
        metrics_token=found[METRICS_TOKEN.name],
    )


def _read(secret: SecretSetting, environ: MutableMapping[str, str], file: Given | None) -> GivenSecret | None:
    text = environ.pop(secret.variable, "")
    environ.pop(secret.file_variable, None)
    if text and file is not None:
        raise Misconfigured(f"{secret.variable} and {file.label} are both set: give one of them")
    if text:
        origin, label = Origin(Source.ENVIRONMENT, secret.variable), secret.variable
    elif file is not None:
        path = Path(str(file.raw)).expanduser()
        origin, label, text = file.origin, str(path), read_secret_file(path)
    else:
        return None
    if secret in {KEY, NEXT_KEY}:
        decode_key(text, where=label)
    else:
        check_strength(text, where=label)
    return GivenSecret(Secret(text), origin)


def _check_different(secrets: Sequence[GivenSecret]) -> None:
    for one, other in itertools.combinations(secrets, 2):
        if one.secret.reveal() == other.secret.reveal():
            raise Misconfigured(
                f"{one.origin} and {other.origin} give the same secret: whoever holds one must not hold the other, "
                "so give two"
            )


def check_strength(text: str, *, where: str) -> None:
    """Raise `Misconfigured` when *text* is too weak for a secret; *where* begins the sentence."""
    wrong = weakness(text)
    if wrong is not None:
        raise Misconfigured(f"{where} {wrong}; `openssl rand -base64 48 | tr -d '\\n'` makes a good one")
    if mistyped_secret(text):
        raise Misconfigured(
            f"{where} begins like a secret that sessiond made, but a character of it is wrong"
        )


def decode_key(text: str, *, where: str) -> bytes:
    """Return the 32 bytes of a wrapping key from its base64url text, or raise `Misconfigured`."""
    try:
        key = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if _KEY_SHAPE.fullmatch(text) else b""
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES or encode_key(key) != text.rstrip("="):
        raise Misconfigured(
            f"{where} must be {KEY_BYTES} random bytes in base64url (43 characters); "
            "`openssl rand -base64 32 | tr '+/' '-_'` makes one"
        )
    if len(set(key)) < KEY_BYTES // 4:
        raise Misconfigured(f"{where} is not random: it repeats the same few bytes")
    return key


def encode_key(key: bytes) -> str:
    """Return the text of a wrapping key: base64url without padding."""
    return urlsafe_b64encode(key).rstrip(b"=").decode()


def read_secret_file(path: Path) -> str:
    """Return the text in the file at *path* without its line end.

    Raises `Misconfigured` when it is missing, too large, not text, or can be read by others than its owner.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Misconfigured(f"The secret file {path} cannot be read: {error.strerror}") from None
    try:
        check_private(path, os.fstat(descriptor))
        content = os.read(descriptor, _LARGEST + 1)
    finally:
        os.close(descriptor)
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > _LARGEST:
        raise Misconfigured(f"The secret file {path} is empty or holds no secret")
    return text


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise `Misconfigured` unless *path* belongs to us (or to root) and nobody else may read or write it."""
    if not stat.S_ISREG(status.st_mode):
        raise Misconfigured(f"The secret file {path} is no regular file")
    if status.st_uid not in {os.geteuid(), 0}:
        raise Misconfigured(
            f"The secret file {path} belongs to another user (uid {status.st_uid}): run sessiond as that user"
        )
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise Misconfigured(
            f"The secret file {path} can be read or written by others (mode {mode:04o}): run `chmod 600 {path}`"
        )
