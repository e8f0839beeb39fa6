"""Backups of an embedded database: taken beside a server, sealed if wanted, and put back while none runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from sessiond.bootstrap.opening import Opened
from sessiond.bootstrap.wrapping_keys import WrappingKeys
from sessiond.config.loading import Loaded
from sessiond.config.secret_files import FORMER_KEY_NAME, SecretFiles, make_private_directory
from sessiond.crypto.archives import SALT_SIZE, open_archive, seal_archive, sealed_under
from sessiond.crypto.ring import fingerprint
from sessiond.crypto.sealing import Unsealable
from sessiond.domain.errors import Misconfigured
from sessiond.storage.open import copying_engine

_INSTALL_ID_SIZE = 36
"""An installation's id is a UUID; in the note of an archive the wrapped key follows it."""


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was taken. *fingerprint* names the wrapping key without which it is of no use."""

    file: str
    size_bytes: int
    sealed: bool
    fingerprint: str


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was put back. *kept* is where the former database lies, if there was one."""

    database: str
    kept: str | None


async def back_up(opened: Opened, target: Path, *, sealed: bool) -> Backup:
    """Copy the database, as it is at one instant, to the new file *target*; *sealed*: under the wrapping key.

    Raises `Misconfigured` when *target* exists or cannot be written, or the engine keeps no file here.
    """
    engine, url = copying_engine(opened.settings.database_url), opened.settings.database_url
    deployment = opened.services.keys.deployment
    key = opened.wrapping_keys.opening(deployment)
    if key is None:
        raise Misconfigured("there is no wrapping key, without which a backup is of no use")
    wrapped = deployment.wrapped_key
    note = b"" if wrapped is None else deployment.install_id.encode() + wrapped
    if not sealed:
        await asyncio.to_thread(engine.copy_store, url, target)
    else:
        plain = opened.settings.data_dir.absolute() / f".backup-{opened.entropy.bytes(8).hex()}"
        try:
            await asyncio.to_thread(engine.copy_store, url, plain)
            await asyncio.to_thread(_seal, plain, target, key, opened.entropy.bytes(SALT_SIZE), note)
        finally:
            plain.unlink(missing_ok=True)
    return Backup(
        file=str(target),
        size_bytes=await asyncio.to_thread(_size_of, target),
        sealed=sealed,
        fingerprint=fingerprint(key),
    )


def restore(loaded: Loaded, source: Path, *, aside: str) -> Restored:
    """Put the backup *source* in the place of the database; what was there is kept in the directory *aside* beside it.

    The next start sees by the witness that the database is behind, and ends every session. Raises `Misconfigured`, and
    changes nothing, when *source* does not open or is no database of ours, or when a server is running.
    """
    settings = loaded.settings
    engine = copying_engine(settings.database_url)
    make_private_directory(settings.data_dir)
    done = engine.replace_store(
        settings.database_url, lambda copy: _unpack(source, copy, loaded), aside=aside
    )
    return Restored(database=str(done.database), kept=None if done.kept is None else str(done.kept))


def _size_of(path: Path) -> int:
    return path.stat().st_size


def _seal(plain: Path, target: Path, key: bytes, salt: bytes, note: bytes) -> None:
    with plain.open("rb") as source, _new_file(target) as sealed:
        try:
            seal_archive(source, sealed, key=key, fingerprint=fingerprint(key), salt=salt, note=note)
            sealed.flush()
            os.fsync(sealed.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _unpack(source: Path, copy: Path, loaded: Loaded) -> None:
    try:
        with source.open("rb") as packed, _new_file(copy) as plain:
            under = sealed_under(packed)
            if under is None:
                while piece := packed.read(1 << 20):
                    plain.write(piece)
            else:
                open_archive(packed, plain, key=_key_of(*under, loaded))
            plain.flush()
            os.fsync(plain.fileno())
    except Unsealable as error:
        raise Misconfigured(f"the backup {source} does not open: {error}; nothing was changed") from None
    except OSError as error:
        raise Misconfigured(f"the backup {source} cannot be read: {error.strerror}") from None


def _key_of(wanted: str, note: bytes, loaded: Loaded) -> bytes:
    keys = WrappingKeys(loaded, SecretFiles(loaded.settings.secrets_directory))
    if note:
        return keys.unwrap(note[_INSTALL_ID_SIZE:], note[:_INSTALL_ID_SIZE].decode("ascii", "replace"))
    former = keys.kept(FORMER_KEY_NAME.format(fingerprint=wanted))
    present: list[bytes] = [*keys.found(None), *(() if former is None else (former,))]
    for key in present:
        if fingerprint(key) == wanted:
            return key
    raise Misconfigured(
        f"the backup needs the wrapping key with the fingerprint {wanted}, which is not here; nothing was changed"
    )


def _new_file(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")
    except FileExistsError:
        raise Misconfigured(f"{path} exists; name a file that does not") from None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}") from None
