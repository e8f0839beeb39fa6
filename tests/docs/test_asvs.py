"""`docs/security/asvs.md` stays true: every test that it names exists, and no requirement of V7 and V9 is left out."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security" / "asvs.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", PAGE)))
SECTIONS_OF_V7 = {"7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 3, "7.6": 2}
SECTIONS_OF_V9 = {"9.1": 3, "9.2": 4}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")

    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


@pytest.mark.parametrize(("section", "count"), [*SECTIONS_OF_V7.items(), *SECTIONS_OF_V9.items()])
def test_every_requirement_of_a_section_has_a_row_with_a_test(section: str, count: int) -> None:
    rows = re.findall(rf"^\| \*\*({re.escape(section)}\.\d+)\*\* .* \| `[^|]+` \|$", PAGE, re.MULTILINE)

    assert rows == [f"{section}.{number}" for number in range(1, count + 1)]
