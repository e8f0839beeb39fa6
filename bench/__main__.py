"""Run the bench: `python -m bench`; `make bench` calls it, `make bench QUICK=1` ends within two minutes."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import beside, costs, growth, growth_report, peers, report, skew
from bench.contender import OPERATIONS, Contender, all_started
from bench.nginx import nginx, nginx_file
from bench.ours import on_postgresql, on_redis_cluster, on_sqlite
from bench.results import Results, Row, this_machine, today
from bench.wrk import Measured, run

ROOT = Path(__file__).parent.parent
WORKPLACE = ROOT / ".bench"
_LENGTHS = {"growth": (3, 2), "beside": (3, 4)}
"""Rounds, and the seconds of each; of the rest five and five."""


def main() -> None:
    """Read the command line, run, print the tables, and write them down unless only a part was asked for."""
    asked = _parser().parse_args()
    tables, write_down = _run(asked)
    print(tables)
    if not asked.quick and not asked.only:
        write_down()


def _run(asked: argparse.Namespace) -> tuple[str, Callable[[], None]]:
    """Return the tables of what was asked for, and what writes it down."""
    rounds, seconds = _length(asked)
    match asked.what:
        case "growth":
            grown = growth.measure(largest=asked.largest, rounds=rounds, seconds=seconds)
            return growth_report.tables(grown), partial(growth_report.write, grown, ROOT)
        case "beside":
            mixed = beside.measure(rounds=rounds, seconds=seconds)
            return beside.tables(mixed), partial(beside.write, mixed, ROOT)
        case "costs":
            spent = costs.measure(sessions=asked.sessions, only=asked.only)
            return costs.table(spent), partial(costs.write, spent, ROOT)
        case "skew":
            skews = skew.simulate()
            return skew.table(skews), partial(skew.write, skews, ROOT)
        case _:
            found = measure(_contenders(asked.only, quick=asked.quick), rounds=rounds, seconds=seconds)
            return report.tables(found), partial(report.write, found, ROOT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("peers", "growth", "beside", "costs", "skew"),
        default="peers",
        help="peers: each operation beside the peers'; growth: by the number of sessions; beside: operations that "
        "share a process, and a verify below its peak; costs: bytes and processor time on each engine, without HTTP; "
        "skew: a simulation",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="short rounds, nothing written; of the peers' bench only SQLite, the limit and the anchors",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="part of a contender's or an engine's name, for peers and costs; the limit and the anchors are always in, "
        "nothing is written",
    )
    parser.add_argument("--largest", type=int, default=1_000_000, help="live sessions, for growth")
    parser.add_argument("--sessions", type=int, default=100_000, help="sessions on each engine, for costs")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    return parser


def _length(asked: argparse.Namespace) -> tuple[int, int]:
    rounds, seconds = (2, 2) if asked.quick else _LENGTHS.get(asked.what, (5, 5))
    return asked.rounds or rounds, asked.seconds or seconds


def measure(contenders: Sequence[Contender], *, rounds: int, seconds: int) -> Results:
    """Run every operation of every contender, interleaved: each round goes through all of them."""
    found: dict[str, dict[str, list[Measured]]] = {each.name: {} for each in contenders}
    with all_started(contenders) as (folder, started):
        for number, operation in itertools.product(range(rounds), OPERATIONS):
            for contender, running in started:
                call = running.prepare(number * len(OPERATIONS) + OPERATIONS.index(operation)).get(operation)
                if call is not None:
                    measured = run(call, running.base_url, running.server, seconds=seconds, folder=folder)
                    found[contender.name].setdefault(operation, []).append(measured)
                    _tell(f"{number + 1}/{rounds}", operation, contender, measured)
    return Results(
        taken_at=today(),
        seconds=seconds,
        machine=this_machine(),
        rows=[
            Row(name=each.name, version=each.version, notes=each.notes, rounds=found[each.name])
            for each in contenders
        ],
    )


def _tell(progress: str, operation: str, contender: Contender, measured: Measured) -> None:
    print(
        f"{progress} {operation:16} {contender.name:34} {measured.rate:10.0f}/s p99 {measured.p99_ms:7.2f} ms"
        + (f", {measured.failed} failed" if measured.failed else ""),
        flush=True,
    )


def _contenders(only: Sequence[str], *, quick: bool) -> list[Contender]:
    everyone = [
        on_sqlite(),
        *(
            ()
            if quick
            else (
                on_postgresql(),
                on_redis_cluster(),
                peers.better_auth(WORKPLACE),
                peers.express_session(WORKPLACE),
                peers.django(WORKPLACE),
                peers.fastapi_users(WORKPLACE),
            )
        ),
    ]
    chosen = [each for each in everyone if not only or any(part in each.name for part in only)]
    return [nginx(), nginx_file(), peers.plain_asgi(), *chosen]


if __name__ == "__main__":
    main()
