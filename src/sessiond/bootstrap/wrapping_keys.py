"""The wrapping keys of this machine: the present one, and the next while the key ring moves to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from sessiond.config.loading import Loaded
from sessiond.config.secret_files import KEY_NAME, NEXT_KEY_NAME, SecretFiles
from sessiond.config.secrets import GivenSecret, decode_key
from sessiond.domain.errors import Misconfigured


class WrappingKeys:
    """Finds the wrapping keys, those that were given before those that lie in files."""

    def __init__(self, loaded: Loaded, files: SecretFiles) -> None:
        self._given = loaded.secrets
        self._files = files

    def found(self) -> Sequence[bytes]:
        """Return every wrapping key at hand, the present one first. Raises `Misconfigured` for one that is none."""
        keys = (source() for source in self._sources())
        return [key for key in keys if key is not None]

    def others(self) -> Sequence[bytes]:
        """Return what `found` would now, without those that cannot be read: for a server that is running."""
        keys: list[bytes] = []
        for source in self._sources():
            with contextlib.suppress(Misconfigured):
                key = source()
                keys += [] if key is None else [key]
        return keys

    def present(self) -> bytes | None:
        """Return the present key, or None where there is none yet."""
        return _decoded(self._given.key) if self._given.key is not None else self.kept(KEY_NAME)

    def next(self) -> bytes | None:
        """Return the next key, or None unless one was given or drawn."""
        given = self._given.next_key
        return _decoded(given) if given is not None else self.kept(NEXT_KEY_NAME)

    def kept(self, name: str) -> bytes | None:
        """Return the wrapping key in the file *name*, or None where there is no such file."""
        text = self._files.read(name)
        return None if text is None else decode_key(text.reveal(), where=str(self._files.path(name)))

    def _sources(self) -> Sequence[Callable[[], bytes | None]]:
        return (self.present, self.next, lambda: self.kept(NEXT_KEY_NAME))


def _decoded(given: GivenSecret) -> bytes:
    return decode_key(given.secret.reveal(), where=str(given.origin))
