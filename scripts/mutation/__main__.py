"""Change the code in one place at a time, and see whether a test notices: the score of the tests, and what survives.

`python -m scripts.mutation` mutates the functions of `domain` and `crypto`, and of the front for instant endpoints.
One process collects the tests and learns which of them reaches which statement. For each mutant it forks, puts the
changed code into the function (whoever imported it has that one), and runs the tests that reach the change until one
fails: those that noticed the last mutants of that function, then the quickest. `--again` reads the kept output of a
former run, and tries only what survived.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.mutation.mutants import ROOT, Mutant, Mutator
from scripts.mutation.running import SURVIVING, Runner

MUTATED = ("src/sessiond/domain/*.py", "src/sessiond/crypto/*.py", "src/sessiond/http/instant.py")
TESTS = (
    "tests/domain",
    "tests/crypto",
    "tests/services",
    "tests/config",
    "tests/http",
    "tests/docs/test_crypto_inventory.py",
    "tests/bootstrap/test_opening.py",
    "tests/bootstrap/test_rewrapping.py",
)
KNOWN = Path(__file__).with_name("equivalent-mutants.txt")
"""Mutants that no test can notice, each with the reason."""


def main() -> int:
    """Print each survivor, and the score; end with 1 if it is below what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", default=MUTATED, help="globs of the files to mutate")
    parser.add_argument("--sample", type=int, help="take so many mutants, drawn with a fixed seed")
    parser.add_argument("--at-least", type=float, default=0, help="the score in percent to be reached")
    parser.add_argument(
        "--again", type=Path, help="try what survived by the output that was kept in this file"
    )
    arguments = parser.parse_args()
    os.chdir(ROOT)
    known = {line.partition("  # ")[0].strip() for line in KNOWN.read_text().splitlines()}
    paths = sorted(path for pattern in arguments.files for path in ROOT.glob(pattern))
    mutators = [Mutator(path) for path in paths]
    everything = [mutant for mutator in mutators for mutant in mutator.mutants()]
    mutants = [mutant for mutant in everything if mutant.name not in known]
    if arguments.again:
        survivors = set(_survivors(arguments.again.read_text()))
        mutants = [mutant for mutant in mutants if mutant.name in survivors]
    if arguments.sample and arguments.sample < len(mutants):
        mutants = random.Random(6).sample(mutants, arguments.sample)  # noqa: S311
    runner = Runner(mutants, dict(pair for mutator in mutators for pair in mutator.watched()))
    pytest.main(["-q", "-s", "-m", "not slow and not soak", "-p", "no:cacheprovider", *TESTS], [runner])
    if mutants and not runner.verdicts:
        return 2  # said by pytest: a test fails without a mutant
    return report(runner.verdicts, len(everything) - len(mutants), arguments.at_least)


def _survivors(output: str) -> Iterator[str]:
    """Yield the name of each mutant that a former run has printed."""
    for line in output.splitlines():
        verdict, _, where = line.partition(": ")
        if verdict in SURVIVING:
            place, _, change = where.partition(" ")
            yield f"{place.rpartition(':')[0]} {change}"


def report(verdicts: dict[str, list[Mutant]], left_out: int, at_least: float) -> int:
    """Print the score of each file and of all."""
    by_file: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict, mutants in verdicts.items():
        for mutant in mutants:
            by_file[mutant.place[0]][verdict] += 1
    total: Counter[str] = sum(by_file.values(), Counter())
    for name, counts in [*sorted(by_file.items()), ("all", total)]:
        caught = counts["killed"] + counts["timed out"]
        print(f"{100 * caught / counts.total():5.1f} %  {caught} of {counts.total()}  {name}")
    score = 100 * (total["killed"] + total["timed out"]) / max(total.total(), 1)
    print(f"mutants={total.total()} left_out={left_out} score={score:.1f} {dict(total)}")
    return 0 if score >= at_least else 1


if __name__ == "__main__":
    sys.exit(main())
