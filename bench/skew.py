"""A simulation: how evenly the work falls on the engine's shards when some subjects are busier than others.

Subjects are as busy as Zipf's law says: the n-th does 1/n**exponent of what the first does. Each lies in one of the
4,096 partitions, drawn as the keyed hash draws them. Partitions lie on shards in equal ranges, or as Redis Cluster's
slots have them, by a hash. One seed, so that every run prints the same. Nothing is measured; times are no part of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import msgspec

from bench.report import put_between
from sessiond.domain.ids import PARTITIONS, Partition
from sessiond.storage.engines.redis.layout import SLOTS, Layout

PAGE = Path("docs/operations/scaling.md")
BEGIN, END = "<!-- made by `python -m bench skew`: begin -->", "<!-- made by `python -m bench skew`: end -->"
SUBJECTS = 1_000_000
EXPONENTS = (0.0, 0.6, 0.8, 1.0, 1.2)
SHARDS = (3, 8, 16, 64, 256)
_SEED = 20_260_101
_LAYOUT = Layout("sessiond")


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """With one exponent: parts of all work, and by number of shards the busiest one's work ÷ the mean.

    *in_ranges* is that of shards with equal ranges of partitions, *in_slots* that of a Redis Cluster's.
    """

    exponent: float
    busiest_subject: float
    busiest_partition: float
    in_ranges: Sequence[float]
    in_slots: Sequence[float]


def simulate() -> list[Skew]:
    """Return what each exponent makes of the work."""
    draw = random.Random(_SEED)  # noqa: S311  no secret
    places = [draw.randrange(PARTITIONS) for _ in range(SUBJECTS)]
    return [_skew(exponent, places) for exponent in EXPONENTS]


def table(skews: Sequence[Skew]) -> str:
    """Return the simulation in Markdown."""
    columns = " | ".join(map(str, SHARDS))
    lines = [
        f"{SUBJECTS:,} subjects, seed {_SEED}. By the number of shards: the busiest one's work ÷ the mean.",
        "",
        f"| exponent | busiest subject | busiest partition | partitions lie in | {columns} |",
        "|---|---|---|---|" + "---|" * len(SHARDS),
    ]
    for each in skews:
        head = f"| {each.exponent:.1f} | {each.busiest_subject:.3%} | {each.busiest_partition:.3%} |"
        for place, values in (("equal ranges", each.in_ranges), ("Redis's slots", each.in_slots)):
            lines.append(f"{head} {place} | {' | '.join(f'{value:.2f}' for value in values)} |")
    return "\n".join(lines) + "\n"


def write(skews: Sequence[Skew], root: Path) -> None:
    """Renew the page's table."""
    put_between(root, BEGIN, END, table(skews), page=PAGE)


def _skew(exponent: float, places: Sequence[int]) -> Skew:
    work = [0.0] * PARTITIONS
    for rank, place in enumerate(places, start=1):
        work[place] += rank**-exponent
    total = sum(work)
    in_slots = [0.0] * SLOTS
    for place, done in enumerate(work):
        in_slots[_LAYOUT[Partition(place)].slot] += done
    return Skew(
        exponent=exponent,
        busiest_subject=1 / total,
        busiest_partition=max(work) / total,
        in_ranges=[_busiest(work, count) * count / total for count in SHARDS],
        in_slots=[_busiest(in_slots, count) * count / total for count in SHARDS],
    )


def _busiest(work: Sequence[float], shards: int) -> float:
    """Return the work of the busiest of so many equal ranges."""
    sums = [0.0, *accumulate(work)]
    ends = [number * len(work) // shards for number in range(shards + 1)]
    return max(sums[end] - sums[begin] for begin, end in pairwise(ends))
