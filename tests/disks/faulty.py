"""A disk that fails on purpose beneath a process that is started with it: see faulty_disk.c."""

from __future__ import annotations

import enum
import errno
import mmap
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("faulty_disk.c")
_CONTROL = struct.Struct("6q")


class Action(enum.IntEnum):
    """What happens at the chosen point; the numbers are those of faulty_disk.c."""

    NONE = 0
    KILL = 1
    """kill -9 before the call."""
    TEAR = 2
    """kill -9 when half of what was to be written is written."""
    CUT = 3
    """A power failure: of what was not synced, each sector may be lost."""
    FAIL = 4
    """The call fails with an error, and the process lives."""


def compiled(folder: Path) -> Path:
    """Return the compiled library; a C compiler is a part that `make test` needs."""
    library = folder / "faulty_disk.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", library, _SOURCE, "-ldl", "-lpthread"], check=True)
    return library


class FaultyDisk:
    """The control of one: what lies below *below* fails when it is armed."""

    def __init__(self, library: Path, folder: Path, below: Path) -> None:
        control = folder / "control"
        control.write_bytes(bytes(_CONTROL.size))
        with control.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _CONTROL.size)
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAULTY_DISK_CONTROL": str(control),
            "FAULTY_DISK_BELOW": str(below),
        }

    @property
    def passed(self) -> int:
        """How many points the process has passed since the disk was armed."""
        return int(_CONTROL.unpack(self._shared[: _CONTROL.size])[0])

    def kill_at(self, point: int, action: Action, *, seed: int = 0) -> None:
        """End the process at the *point*-th call from now, in the way of *action*."""
        self._set(point, action, seed=seed)

    def fail_at(self, point: int, error: int = errno.EIO, *, lasting: int = 1) -> None:
        """Let the *point*-th call from now fail with *error*, and those after it, *lasting* in all."""
        self._set(point, Action.FAIL, error=error, lasting=lasting)

    def work(self) -> None:
        """Fail no more, and count from now."""
        self._set(0, Action.NONE)

    def _set(self, at: int, action: Action, *, error: int = 0, lasting: int = 0, seed: int = 0) -> None:
        self._shared[: _CONTROL.size] = _CONTROL.pack(0, at, action, error, lasting, seed)
