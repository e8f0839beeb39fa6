"""The secrets directory: the wrapping key, the first secrets and the witness, each a file of its own with mode 0600."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from sessiond.config.secrets import check_private, read_secret_file
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Misconfigured, Unavailable
from sessiond.domain.startup import Witness

KEY_NAME = "key"
NEXT_KEY_NAME = "next-key"
FORMER_KEY_NAME = "former-key-{fingerprint}"
SERVER_KEY_NAME = "server-key"
MASTER_TOKEN_NAME = "master-token"
WITNESS_NAME = "witness"

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private_directory(path: Path) -> None:
    """Make the directory at *path* with mode 0700, or check that nobody else can look into the one that is there.

    An empty one of our own is closed to others. Raises `Misconfigured`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise Misconfigured(
                f"The directory {path} belongs to another user (uid {status.st_uid}): run sessiond as that user"
            )
        if not status.st_mode & _OTHERS:
            return
        if any(path.iterdir()):
            mode = stat.S_IMODE(status.st_mode)
            raise Misconfigured(
                f"The directory {path} is open to other users (mode {mode:04o}): run `chmod 700 {path}`"
            )
        path.chmod(0o700)
    except OSError as error:
        raise Misconfigured(f"The directory {path} cannot be used: {error.strerror}") from None


class SecretFiles:
    """The files in one secrets directory. It keeps the master token for the services (`MasterTokenKeeper`)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, name: str) -> Path:
        """Return where the file *name* lies."""
        return self.directory / name

    def make(self) -> None:
        """Make the directory with mode 0700, or check it. Raises `Misconfigured`."""
        make_private_directory(self.directory)

    def read(self, name: str) -> Secret | None:
        """Return the secret in the file *name*, or None when there is no such file. Raises `Misconfigured`."""
        path = self.path(name)
        return Secret(read_secret_file(path)) if path.exists() else None

    def add(self, name: str, secret: Secret) -> Secret:
        """Write *secret* to the file *name*, durably, unless the file exists; return the secret that is there then."""
        path = self.path(name)
        new = self._write_beside(path, secret.reveal().encode() + b"\n")
        try:
            # A link, which fails where the name is taken: nobody ever sees, or leaves behind, half a file.
            path.hardlink_to(new)
        except FileExistsError:
            return Secret(read_secret_file(path))
        except OSError as error:
            raise _unwritable(path, error) from None
        finally:
            new.unlink(missing_ok=True)
            self._sync_directory()
        return secret

    def discard(self, name: str) -> None:
        """Remove the file *name*, whose secret opens nothing."""
        self.path(name).unlink(missing_ok=True)

    def promote_key(self, *, former: str) -> Path | None:
        """Put the next wrapping key in the place of the present one, durably; where it is there already, do nothing.

        The present one is kept beside it, named after its fingerprint *former*: backups made until now need it.
        Returns where that is, None where no present one lay here.
        """
        path, kept = self.path(KEY_NAME), self.path(FORMER_KEY_NAME.format(fingerprint=former))
        new = self.path(NEXT_KEY_NAME)
        if not new.exists():
            return None
        lay_here = path.exists()
        try:
            if lay_here:
                with contextlib.suppress(FileExistsError):
                    kept.hardlink_to(path)
                self._sync_directory()
            new.replace(path)  # and left where it is when that fails: the key ring is sealed under it
            self._sync_directory()
        except OSError as error:
            raise _unwritable(path, error) from None
        return kept if lay_here else None

    def retire_key(self, *, former: str) -> Path:
        """Put the present wrapping key away, durably, named after its fingerprint *former*; return where it is then."""
        path, kept = self.path(KEY_NAME), self.path(FORMER_KEY_NAME.format(fingerprint=former))
        try:
            path.replace(kept)
            self._sync_directory()
        except OSError as error:
            raise _unwritable(path, error) from None
        return kept

    @contextlib.contextmanager
    def replacing(self, token: Secret) -> Iterator[None]:
        """Replace the kept master token by *token*, durably, once the body of the `with` has succeeded.

        Raises `Unavailable` before the body when the disk refuses.
        """
        path = self.path(MASTER_TOKEN_NAME)
        new = self._write_beside(path, token.reveal().encode() + b"\n")
        try:
            yield
            self._put(new, path)
        finally:
            new.unlink(missing_ok=True)

    def read_witness(self) -> Witness | None:
        """Return the witness, or None when there is none. Raises `Misconfigured` for one that cannot be read."""
        path = self.path(WITNESS_NAME)
        try:
            with path.open("rb") as stream:
                check_private(path, os.fstat(stream.fileno()))
                return msgspec.json.decode(stream.read(), type=Witness)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise Misconfigured(
                f"The witness {path} cannot be read ({error}): restore it, or remove it and run `sessiond recover`"
            ) from None

    def write_witness(self, witness: Witness) -> None:
        """Replace the witness, durably and at once. Raises `Unavailable` when the disk refuses."""
        self._replace(WITNESS_NAME, msgspec.json.encode(witness) + b"\n")

    def _replace(self, name: str, content: bytes) -> None:
        path = self.path(name)
        self._put(self._write_beside(path, content), path)

    def _put(self, new: Path, path: Path) -> None:
        try:
            new.replace(path)
            self._sync_directory()
        except OSError as error:
            new.unlink(missing_ok=True)
            raise _unwritable(path, error) from None

    def _write_beside(self, path: Path, content: bytes) -> Path:
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise _unwritable(path, error) from None
        return new

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable("secrets_unwritable", f"{path} cannot be written: {error.strerror}.")
