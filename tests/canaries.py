"""Looking for secrets in everything that a server leaves behind."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from tests.server_process import ServerProcess


def everything_in(server: ServerProcess) -> bytes:
    """Return every byte of the data directory (database, WAL) and of the log."""
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") for path in files)
    return b"".join(path.read_bytes() for path in files) + server.log().encode()


def found_in(kept: bytes, secrets: Iterable[str]) -> list[str]:
    """Return which of *secrets* stand in *kept* as text, in hexadecimal or in base64."""
    return [
        secret
        for secret in secrets
        for form in (secret.encode(), secret.encode().hex().encode(), base64.b64encode(secret.encode())[:-4])
        if form in kept
    ]
