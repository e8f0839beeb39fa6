"""Pages that name tests stay true: every test that they name exists, and what is promised names one."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT

_NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
NAMED = sorted({named for page in PAGES for named in _NAMED.findall(page.read_text(encoding="utf-8"))})


def text_of(name: str) -> str:
    return (ROOT / "docs" / "security" / name).read_text(encoding="utf-8")


def test_every_test_that_is_named_exists() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not (ROOT / "tests" / file).exists()
        or not re.search(
            rf"^ *(async )?def {name}\(", (ROOT / "tests" / file).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]

    assert len(NAMED) > 100
    assert not missing


@pytest.mark.parametrize("number", range(1, 9))
def test_every_promise_names_its_tests(number: int) -> None:
    promises = re.split(r"^(?=\d+\. \*\*)", text_of("promises.md"), flags=re.MULTILINE)[1:]

    assert len(promises) == 8
    assert promises[number - 1].startswith(f"{number}. ")
    assert _NAMED.search(promises[number - 1])


def test_whatever_an_attacker_may_hold_has_a_row_with_tests() -> None:
    rows = re.findall(r"^\| \*\*.*$", text_of("threat-model.md"), re.MULTILINE)
    untested = [row.split("|")[1] for row in rows if not _NAMED.search(row)]

    assert len(rows) >= 18
    assert not untested
