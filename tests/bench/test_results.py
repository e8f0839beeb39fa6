"""What the bench has kept: every file has the present shape, and the pages show what the last of each kind says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import beside, costs, growth_report, report
from bench.beside import Beside
from bench.costs import Costs
from bench.growth import Growth
from bench.results import Results

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "bench" / "results"
ON_A_DAY = "20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
KINDS: dict[str, tuple[type, Callable[[Any, Path], None], Path]] = {
    ".json": (Results, report.write, report.PAGE),
    "-beside.json": (Beside, beside.write, report.PAGE),
    "-costs.json": (Costs, costs.write, costs.PAGE),
    "-growth.json": (Growth, growth_report.write, report.PAGE),
}


def kept(kind: str) -> list[Path]:
    return sorted(KEPT.glob(f"{ON_A_DAY}{kind}"))


def test_every_kept_file_is_of_a_known_kind() -> None:
    assert sorted(KEPT.iterdir()) == sorted(file for kind in KINDS for file in kept(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kept_file_has_the_present_shape(kind: str) -> None:
    for file in kept(kind):
        msgspec.json.decode(file.read_bytes(), type=KINDS[kind][0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_show_the_last_results(kind: str, tmp_path: Path) -> None:
    shape, write, page = KINDS[kind]
    last = kept(kind)[-1]
    (tmp_path / page).parent.mkdir(parents=True)
    (tmp_path / "bench").mkdir()
    shutil.copy(ROOT / page, tmp_path / page)

    write(msgspec.json.decode(last.read_bytes(), type=shape), tmp_path)

    pages = [file.relative_to(tmp_path) for file in (tmp_path / "docs").rglob("*.*")]
    assert page in pages
    assert [each for each in pages if (tmp_path / each).read_bytes() != (ROOT / each).read_bytes()] == []
