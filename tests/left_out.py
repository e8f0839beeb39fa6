"""What `make check` left out, said at its end: the slow tests, counted per file, and the engines among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

_COUNTS = "left out"
_ENGINE = re.compile(r"tests/storage/test_([a-z]*)_contract\.py")


class LeftOut:
    """A plugin that counts where tests are collected, with pytest-xdist in its workers, and tells where they report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._counts: Counter[str] = Counter()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count the slow ones; what only `make soak` runs is not of `make test`."""
        slow = [
            item for item in items if item.get_closest_marker("slow") and not item.get_closest_marker("soak")
        ]
        self._counts.update(item.nodeid.partition("::")[0] for item in slow)

    def pytest_sessionfinish(self) -> None:
        """Hand the counts of a worker over; each worker collects the same tests."""
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[_COUNTS] = dict(self._counts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take the counts of a worker."""
        self._counts = Counter(getattr(node, "workeroutput", {}).get(_COUNTS, self._counts))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell."""
        terminalreporter.write_line("\nLeft out here (slow; make test runs them):")
        for path, count in sorted(self._counts.items()):
            terminalreporter.write_line(f"  {path}: {count}")
        engines = sorted(match[1] for match in map(_ENGINE.fullmatch, self._counts) if match)
        terminalreporter.write_line(f"Engines left out: {' '.join(engines) or 'none'}.")
