"""What `make soak` did, kept as rows of a table in docs/security/soak.md.

A test marked `soak` says what it did with pytest's own fixture, `record_property("rounds", 2000)`: names and values
become the row's figures. A run replaces the rows of the tests that it ran, and leaves the others as they were.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HEADING = "## Last results\n"
TABLE = "| test | result | seconds | what it did |\n|---|---|---|---|\n"


class KeptResults:
    """A plugin that writes one row for each soak test that ran into the page at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test came to: its call, or what failed around it."""
        if "soak" not in report.keywords or (report.when != "call" and not report.failed):
            return
        figures = ", ".join(f"{name}: {_shown(value)}" for name, value in report.user_properties)
        name = report.nodeid.removeprefix("tests/").replace("|", "/")
        self._rows[name] = f"| `{name}` | {report.outcome} | {report.duration:.0f} | {figures} |\n"

    def pytest_sessionfinish(self) -> None:
        """Write the rows, in the order of their names, below the page's heading."""
        if not self._rows:
            return
        before, heading, after = self._path.read_text().partition(HEADING)
        kept = {
            line.split("`")[1]: line for line in after.splitlines(keepends=True) if line.startswith("| `")
        }
        rows = kept | self._rows
        self._path.write_text(before + heading + "\n" + TABLE + "".join(rows[name] for name in sorted(rows)))


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
