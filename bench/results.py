"""What a run of the bench found: rounds of each operation of each contender, and the machine."""

from __future__ import annotations

import datetime as dt
import platform
import statistics
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.wrk import Measured


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures were taken on."""

    processor: str
    cores: int
    python: str
    with_pgo: bool
    wrk: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contender; *rounds* by operation, in the order in which they were run."""

    name: str
    version: str
    notes: str
    rounds: Mapping[str, Sequence[Measured]]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. The first row is the limit."""

    taken_at: str
    seconds: int
    machine: Machine
    rows: Sequence[Row]


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A contender's rate as a part of the limit's, round by round."""

    median: float
    least: float
    most: float


def ratio(results: Results, row: Row, operation: str, *, of: Row | None = None) -> Ratio | None:
    """Return *row*'s rate ÷ that *of* another (None: the limit's) in the same round, or None without the operation."""
    other = (results.rows[0] if of is None else of).rounds[operation]
    rounds = row.rounds.get(operation, ())
    each = [ours.rate / its.rate for ours, its in zip(rounds, other, strict=False)]
    if not each:
        return None
    return Ratio(median=statistics.median(each), least=min(each), most=max(each))


def middle(rounds: Sequence[Measured], member: str) -> float:
    """Return the median of *member* over *rounds*."""
    return statistics.median(float(getattr(each, member)) for each in rounds)


def today() -> str:
    """Return the present instant as results tell it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def this_machine() -> Machine:
    """Return what is known of this machine."""
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    # wrk has no way to ask for its version but a wrong call.
    wrk = subprocess.run(["wrk", "-v"], check=False, capture_output=True, text=True).stdout.split("\n")[0]
    return Machine(
        processor=cpus[0] if cpus else platform.machine(),
        cores=len(cpus),
        python=f"CPython {platform.python_version()}",
        with_pgo="--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        wrk=wrk.partition(" [")[0],
    )
