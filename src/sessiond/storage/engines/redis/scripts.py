"""The Lua scripts that lie in `scripts/`, each under its name and the SHA-1 that servers know it by."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import NamedTuple


class Script(NamedTuple):
    """A script: its source, and the digest that names it to a server."""

    source: bytes
    digest: bytes


@functools.cache
def scripts() -> dict[str, Script]:
    """Return every script by its name."""
    folder = resources.files(__package__) / "scripts"
    found = {}
    for file in folder.iterdir():
        if file.name.endswith(".lua"):
            source = file.read_bytes()
            digest = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
            found[file.name.removesuffix(".lua")] = Script(source, digest)
    return found
