"""Gives a Python process a wall clock that a test sets: the real one, and what lies in the file TEST_CLOCK names.

Python runs this module at its start where its folder is on PYTHONPATH.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

_real = time.time_ns

with Path(os.environ["TEST_CLOCK"]).open("rb") as _file:
    _ahead = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)


def _time_ns() -> int:
    return _real() + int.from_bytes(_ahead[:8], signed=True)


time.time_ns = _time_ns
