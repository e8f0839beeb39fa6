"""Which test shows which row of docs/security/attacks.md: the page says it, and pytest's mark `attack` follows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security" / "attacks.md").read_text(encoding="utf-8")
ROWS: Mapping[int, Sequence[str]] = {
    int(row): re.findall(r"`([a-z_/]+\.py::\w+)`", line)
    for row, line in re.findall(r"^\| (\d+) (\|.*)$", PAGE, re.MULTILINE)
}


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark each test with every row that it shows."""
    shown: dict[str, list[int]] = {}
    for row, tests in ROWS.items():
        for test in tests:
            shown.setdefault(test, []).append(row)
    for item in items:
        path, _, name = item.nodeid.partition("::")
        name = name.partition("::")[0].partition("[")[0]
        test = f"{path.removeprefix('tests/')}::{name}"
        for row in shown.get(test, ()):
            item.add_marker(pytest.mark.attack(row=row))
