"""The table of verifies below their peak."""

from __future__ import annotations

from bench.paced import Paced, table
from bench.wrk import Measured


def measured(rate: float, *, p99_ms: float = 3.0, failed: int = 0) -> Measured:
    return Measured(
        rate=rate, p50_ms=0.5, p99_ms=p99_ms, cpu_us=21.4, memory_mib=90.0, requests=1000, failed=failed
    )


def test_a_row_shows_the_peak_what_part_of_it_was_reached_and_the_times_there() -> None:
    paced = Paced(
        name="sessiond, SQLite",
        peaks=[measured(40_000, p99_ms=9), measured(50_000, p99_ms=9), measured(30_000, p99_ms=9)],
        rounds=[measured(28_000, p99_ms=1), measured(35_000, p99_ms=2), measured(18_000, p99_ms=7)],
    )

    assert table([paced])[2:] == ["| sessiond, SQLite | 40,000 | 28,000 (0.70) | 0.50 | 2.00 | 21 |"]


def test_what_failed_is_shown() -> None:
    paced = Paced(name="sessiond, SQLite", peaks=[measured(1000)], rounds=[measured(700, failed=3)])

    assert "| 700, 3 failed (0.70) |" in table([paced])[2]
