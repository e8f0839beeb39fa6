"""A write-ahead log that ends in the middle or is damaged: what is found is the beginning of what happened, whole."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessiond.storage.engine import Role
from sessiond.storage.engines import sqlite
from tests.disks import deeds

FRAME = 24 + 4096
HEAD = 32
TRIED = 12


class History:
    """A database that was copied while it was open, and how long its log was when each deed was acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "copied"
        self.folder.mkdir()
        self.lengths: list[int] = []
        self.log = b""

    @classmethod
    async def made(cls, folder: Path) -> History:
        made = cls(folder)
        path = folder / "sessiond.db"
        store = await sqlite.open_store(f"sqlite:///{path}", role=Role.SERVER)
        for number in range(deeds.SESSIONS):
            for deed in deeds.DEEDS:
                await deeds.do(store, number, deed)
                made.lengths.append(made.copy(path))
        await store.close()
        return made

    def copy(self, path: Path) -> int:
        """Copy the database at *path* and its log, and return how long the log is.

        By another process: to close a file of the database here would drop the locks that SQLite has on it.
        """
        subprocess.run(["cp", path, f"{path}-wal", self.folder], check=True)
        self.log = (self.folder / "sessiond.db-wal").read_bytes()
        return len(self.log)

    def write(self, log: bytes, at: Path) -> None:
        """Make a database at *at* that has *log* for its log."""
        at.mkdir()
        (at / "sessiond.db").write_bytes((self.folder / "sessiond.db").read_bytes())
        (at / "sessiond.db-wal").write_bytes(log)

    async def found_with(self, log: bytes, at: Path) -> int:
        """Return how many deeds are done where *log* is the log; fail when they are not the first ones."""
        self.write(log, at)
        store = await sqlite.open_store(f"sqlite:///{at}/sessiond.db", role=Role.SERVER)
        done = [await deeds.done_to(store, number) for number in range(deeds.SESSIONS)]
        await store.close()
        whole, rest = divmod(sum(done), len(deeds.DEEDS))
        expected = [len(deeds.DEEDS)] * whole + [rest] + [0] * deeds.SESSIONS
        assert done == expected[: deeds.SESSIONS]
        return sum(done)

    def acknowledged_within(self, length: int) -> int:
        return sum(known <= length for known in self.lengths)


@pytest.fixture
async def history(tmp_path: Path) -> History:
    return await History.made(tmp_path)


def places(history: History) -> Iterator[int]:
    """Yield lengths at, just before and just after the ends of frames, and in their middles."""
    chosen = random.Random(5).sample(range(1, len(history.log) // FRAME), TRIED)
    for n, frame in enumerate(chosen):
        yield HEAD + frame * FRAME + (0, -1, 1, FRAME // 2)[n % 4]


async def test_a_log_that_was_cut_off_loses_nothing_before_the_cut(history: History, tmp_path: Path) -> None:
    for length in places(history):
        found = await history.found_with(history.log[:length], tmp_path / f"cut-{length}")
        assert found == history.acknowledged_within(length)


async def test_a_damaged_frame_ends_the_log_where_it_is(history: History, tmp_path: Path) -> None:
    for place in places(history):
        damaged = bytearray(history.log)
        damaged[place] ^= 0x40
        found = await history.found_with(bytes(damaged), tmp_path / f"damaged-{place}")
        assert found == history.acknowledged_within(place)
