"""Pages that workers share: each keeps its readings on its own, and whoever is asked reads them all.

The memory is the parent's, made before the workers are. A page has two halves: the one that is not read is written, and
then they change places, so that nobody waits and nobody reads a half-written one. What a worker counted stays when it
dies; the one in its place counts on from there, so that no counter falls.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sessiond.bootstrap.metrics.readings import Readings

_HALF_BYTES = 1024 * 1024
_PLACE = struct.Struct("=I")
_HEAD = struct.Struct("=IdII")
"""Of a half: the process that wrote it and when, the length of what follows, and its CRC-32."""

_PAGE_BYTES = mmap.PAGESIZE + 2 * _HALF_BYTES
_ATTEMPTS = 100
_LONGEST_SILENCE_SECONDS = 10.0
"""A worker that has shown nothing for so long does not serve: it shows something each second."""


class Written(NamedTuple):
    """What stands on a page: the process that wrote it, when by the machine's monotonic clock, and its readings."""

    process: int
    at: float
    readings: Readings


class Pages:
    """A page for each of *count* workers; made by the parent, before it forks."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._memory = mmap.mmap(-1, count * _PAGE_BYTES)

    def page(self, place: int) -> Page:
        """Return the page of the worker at *place*, from 0."""
        return Page(self, place)

    def write(self, place: int, written: Written) -> None:
        """Replace what stands on the page at *place*. Raises `ValueError` for more than a page holds."""
        data = written.readings.packed()
        if len(data) > _HALF_BYTES - _HEAD.size:
            raise ValueError("the readings do not fit on their page")
        start = place * _PAGE_BYTES
        half = 1 - self._half(start)
        begin = start + mmap.PAGESIZE + half * _HALF_BYTES
        _HEAD.pack_into(self._memory, begin, written.process, written.at, len(data), zlib.crc32(data))
        self._memory[begin + _HEAD.size : begin + _HEAD.size + len(data)] = data
        _PLACE.pack_into(self._memory, start, half)

    def read(self, place: int) -> Written | None:
        """Return what stands on the page at *place*, None where nobody has written it."""
        start = place * _PAGE_BYTES
        for _ in range(_ATTEMPTS):
            begin = start + mmap.PAGESIZE + self._half(start) * _HALF_BYTES
            process, at, length, check = _HEAD.unpack_from(self._memory, begin)
            if not process:
                return None
            data = self._memory[begin + _HEAD.size : begin + _HEAD.size + length]
            if zlib.crc32(data) == check:  # else it was written twice meanwhile
                return Written(process, at, Readings.unpacked(data))
        raise RuntimeError("a page of readings is damaged")

    def _half(self, start: int) -> int:
        found: int = _PLACE.unpack_from(self._memory, start)[0]
        return found


class Page:
    """One worker's page. What stood there before it came is counted on. *now* is the machine's monotonic clock."""

    def __init__(self, pages: Pages, place: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._pages = pages
        self._now = now
        self.place = place
        former = pages.read(place)
        self._before = Readings() if former is None else former.readings

    def publish(self, own: Readings) -> Readings:
        """Show *own* to the others, with what was counted before; return both together."""
        together = Readings()
        together.join(self._before, ended=True)
        together.join(own)
        self._pages.write(self.place, Written(os.getpid(), self._now(), together))
        return together

    def others(self) -> Iterator[tuple[int, int | None, Readings]]:
        """Yield each other worker's place, its process (None where that serves no more) and its readings."""
        for place in range(self._pages.count):
            found = None if place == self.place else self._pages.read(place)
            if found is not None:
                serves = self._now() - found.at <= _LONGEST_SILENCE_SECONDS and _lives(found.process)
                yield place, found.process if serves else None, found.readings

    @property
    def wanted(self) -> int:
        """How many workers there should be."""
        return self._pages.count


def _lives(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, 0)
        return True
    return False
