"""The growth tables, made from a run and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.growth import OPERATIONS, PURGED_BESIDE, Growth
from bench.report import keep, put_between, taken_on
from bench.results import middle
from bench.wrk import Measured

BEGIN, END = (
    "<!-- made by `python -m bench growth`: begin -->",
    "<!-- made by `python -m bench growth`: end -->",
)


def tables(growth: Growth) -> str:
    """Return the run as tables in Markdown."""
    sizes = growth.sizes
    rounds = len(sizes[0].rounds[OPERATIONS[0]])
    head = f"{taken_on(growth.taken_at, growth.machine)}; {rounds} interleaved rounds of {growth.seconds} s."
    columns = " | ".join(f"{size.sessions:,}" for size in sizes)
    lines = [head, "", f"| live sessions | {columns} |", "|---|" + "---|" * len(sizes)]
    for operation in OPERATIONS:
        first = middle(sizes[0].rounds[operation], "rate")
        each = [_operation(size.rounds[operation], first) for size in sizes]
        lines.append(f"| {operation}: per second (÷ the first), CPU µs, p99 ms | {' | '.join(each)} |")
    once = {
        "a page of 100 of a subject's 1,000 sessions, ms": [f"{size.first_page_ms:.1f}" for size in sizes],
        "all ten pages, one after the other, ms": [f"{size.whole_list_ms:.1f}" for size in sizes],
        "revoke a subject, ms": [f"{size.revoke_subject_ms:.1f}" for size in sizes],
        "revoke the project, ms": [f"{size.revoke_project_ms:.1f}" for size in sizes],
        "from start to ready, s": [f"{size.startup_seconds:.2f}" for size in sizes],
        "bytes per session on disk": [f"{size.file_bytes / size.sessions:,.0f}" for size in sizes],
        "MiB with 100,000 sessions in memory": [
            "" if size.memory_mib is None else f"{size.memory_mib:.0f}" for size in sizes
        ],
    }
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in once.items()]
    return "\n".join([*lines, "", *_purge(growth)]) + "\n"


def write(growth: Growth, root: Path) -> None:
    """Keep the raw results and renew the page's tables."""
    keep(root, f"{growth.taken_at[:10]}-growth.json", growth)
    put_between(root, BEGIN, END, tables(growth))


def _operation(rounds: Sequence[Measured], first: float) -> str:
    rate = middle(rounds, "rate")
    failed = sum(each.failed for each in rounds)
    shown = (
        f"{rate:,.0f} ({rate / first:.2f}), {middle(rounds, 'cpu_us'):.0f}, {middle(rounds, 'p99_ms'):.1f}"
    )
    return shown + (f", {failed} failed" if failed else "")


def _purge(growth: Growth) -> list[str]:
    purge = growth.purge
    taken = (
        f"{purge.sessions:,} ended sessions are purged beside traffic among {purge.live:,} live ones, "
        f"{purge.purged_per_second:,.0f} a second:"
    )
    lines = [
        taken,
        "",
        "| operation | p99 ms before | p99 ms during | ÷ | per second before | during |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [_beside(name, purge.before, purge.during) for name in PURGED_BESIDE]


def _beside(
    name: str, before: Mapping[str, Sequence[Measured]], during: Mapping[str, Sequence[Measured]]
) -> str:
    calm, busy = middle(before[name], "p99_ms"), middle(during[name], "p99_ms")
    rates = [f"{middle(each[name], 'rate'):,.0f}" for each in (before, during)]
    return f"| {name} | {calm:.1f} | {busy:.1f} | {busy / calm:.1f} | {' | '.join(rates)} |"
