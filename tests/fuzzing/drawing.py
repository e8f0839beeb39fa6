"""How much is drawn: a set that is the same in every run, or very many new ones where `make soak` asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

T = TypeVar("T")

AT_LENGTH = 200_000

at_any_length = pytest.mark.parametrize(
    "examples", [200, pytest.param(AT_LENGTH, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])]
)


def hold(strategy: st.SearchStrategy[T], check: Callable[[T], None], examples: int) -> None:
    """Draw *examples* and let *check* fail for one that does not hold."""

    @settings(max_examples=examples, derandomize=examples < AT_LENGTH, database=None)
    @given(strategy)
    def run(drawn: T) -> None:
        check(drawn)

    run()


@st.composite
def edited(draw: st.DrawFn, seeds: list[str], pieces: list[str]) -> str:
    """Return one of *seeds* with up to four places cut out, doubled, or filled with *pieces* or any text."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 16)))
        filling = st.sampled_from(["", text[start:end] * 2, *pieces]) | st.text(max_size=4)
        text = text[:start] + draw(filling) + text[end:]
    return text
