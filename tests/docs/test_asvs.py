"""`docs/security/asvs.md` leaves out no requirement of V7 and V9; `test_named_tests.py` looks for the tests."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security" / "asvs.md").read_text(encoding="utf-8")
SECTIONS_OF_V7 = {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2}
SECTIONS_OF_V9 = {"9.1": 3, "9.2": 4}


@pytest.mark.parametrize(("section", "count"), [*SECTIONS_OF_V7.items(), *SECTIONS_OF_V9.items()])
def test_every_requirement_of_a_section_has_a_row_with_a_test(section: str, count: int) -> None:
    rows = re.findall(rf"^\| \*\*({re.escape(section)}\.\d+)\*\* .* \| `[^|]+` \|$", PAGE, re.MULTILINE)

    assert rows == [f"{section}.{number}" for number in range(1, count + 1)]
