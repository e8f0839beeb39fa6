"""Places for a data directory whose room can be taken away and given back."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tests.server_process import ServerProcess

TMPFS_SIZE = "8m"
_BLOCK = bytes(4096)
_LITTLE = 64 * 1024


class Room(Protocol):
    """The room that a server has for its files."""

    def fill(self, server: ServerProcess) -> None:
        """Take away what is left, or nearly so."""
        ...

    def free(self, server: ServerProcess) -> None:
        """Give it back."""
        ...


class FileSizeLimit:
    """RLIMIT_FSIZE of the running process (getrlimit(2)): writes beyond it fail, as on a disk that fails."""

    def fill(self, server: ServerProcess) -> None:
        sizes = (path.stat().st_size for path in server.data_dir.glob("sessiond.db-wal"))
        limit = max(*sizes, server.log_path.stat().st_size) + _LITTLE
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, self._hard(server)))

    def free(self, server: ServerProcess) -> None:
        hard = self._hard(server)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    @staticmethod
    def _hard(server: ServerProcess) -> int:
        return resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)[1]


class SmallDisk:
    """A file system of a few megabytes of its own (tmpfs), filled up by a file."""

    def fill(self, server: ServerProcess) -> None:
        with self._ballast(server).open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(_BLOCK)

    def free(self, server: ServerProcess) -> None:
        self._ballast(server).unlink()

    @staticmethod
    def _ballast(server: ServerProcess) -> Path:
        return server.data_dir / "ballast"


@contextlib.contextmanager
def small_disk_at(folder: Path) -> Iterator[SmallDisk]:
    """Mount a small file system at the new directory *folder*; only root may."""
    folder.mkdir(mode=0o700)
    options = f"size={TMPFS_SIZE},mode=0700,uid={os.geteuid()}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk()
    finally:
        subprocess.run(["umount", str(folder)], check=True)
