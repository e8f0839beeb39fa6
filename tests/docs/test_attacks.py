"""`docs/security/attacks.md` stays true: each of the 34 rows has tests, and every test that it names exists."""

from __future__ import annotations

import re

import pytest

from tests.attacks.index import PAGE, ROWS
from tests.docs.pages import ROOT

NAMED = sorted({test for tests in ROWS.values() for test in tests})
NUMBERED = sorted(
    (int(row), f"attacks/{path.name}::{name}")
    for path in (ROOT / "tests" / "attacks").glob("test_*.py")
    for name, row in re.findall(r"^(?:async )?def (test_row_(\d+)_\w+)", path.read_text(), re.MULTILINE)
)


def test_every_row_has_tests_and_tells_how_many() -> None:
    told = re.findall(r"^\| (\d+) \|.*\| (\d+) \| [^|]*\|$", PAGE, re.MULTILINE)

    assert [(int(row), int(count)) for row, count in told] == [(row, len(ROWS[row])) for row in range(1, 35)]
    assert all(ROWS.values())


@pytest.mark.parametrize("test", NAMED)
def test_a_test_that_is_named_exists(test: str) -> None:
    file, name = test.split("::")
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")

    assert re.search(rf"^(async )?(def {name}\(|{name} = )", source, re.MULTILINE), f"{file} has no {name}"


def test_every_test_that_bears_a_row_s_number_stands_in_that_row() -> None:
    assert [(row, test) for row, test in NUMBERED if test not in ROWS[row]] == []


def test_what_the_page_names_is_marked(request: pytest.FixtureRequest) -> None:
    numbered = [item for item in request.session.items if item.name.startswith("test_row_")]

    assert [item.nodeid for item in numbered if item.get_closest_marker("attack") is None] == []
