"""How much is drawn: a few texts, the same in every run, or very many where `make soak` asks for them.

Both are drawn by the same functions of a `random.Random`. Hypothesis gives one whose choices it makes smaller where one
fails; at length a plain one draws, many times as fast, and what fails is drawn again by the number that is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

T = TypeVar("T")

AT_LENGTH = 200_000
UP_TO = (0x80, 0x100, 0x3000, 0x110000)
"""Where the ranges of characters end that a text is drawn from: ASCII, Latin, the letters of most languages, all."""

at_any_length = pytest.mark.parametrize(
    "examples", [200, pytest.param(AT_LENGTH, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])]
)


def hold(draw: Callable[[Random], T], check: Callable[[T], None], examples: int) -> None:
    """Draw *examples* and let *check* fail for one that does not hold."""
    if examples < AT_LENGTH:

        @settings(max_examples=examples, derandomize=True, database=None)
        @given(st.randoms(use_true_random=False))
        def run(random: Random) -> None:
            drawn = draw(random)
            note(f"drawn: {drawn!r}")
            check(drawn)

        run()
        return
    for number in range(examples):
        drawn = draw(Random(number))
        try:
            check(drawn)
        except Exception as error:
            error.add_note(f"drawn by Random({number}): {drawn!r}")
            raise


def text(random: Random, most: int) -> str:
    """Return a text of at most so many characters, of any kind, half of a surrogate pair among them."""
    return "".join(chr(random.randrange(random.choice(UP_TO))) for _ in range(random.randint(0, most)))


def edited(random: Random, seeds: Sequence[str], pieces: Sequence[str]) -> str:
    """Return one of *seeds* with up to four places cut out, doubled, or filled with *pieces* or any text."""
    made = random.choice(seeds)
    for _ in range(random.randint(0, 4)):
        start = random.randint(0, len(made))
        end = random.randint(start, min(len(made), start + 16))
        match random.randint(0, 3):
            case 0:
                filling = ""
            case 1:
                filling = made[start:end] * 2
            case 2:
                filling = random.choice(pieces)
            case _:
                filling = text(random, 4)
        made = made[:start] + filling + made[end:]
    return made
