"""The table and the plot, made from results and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from bench.contender import OPERATIONS
from bench.nginx import FILE
from bench.results import Machine, Ratio, Results, Row, middle, ratio
from bench.wrk import CONNECTIONS, Measured

BEGIN, END = "<!-- made by `make bench`: begin -->", "<!-- made by `make bench`: end -->"
PAGE = Path("docs/performance.md")
PLOT = Path("docs/performance.svg")


def tables(results: Results) -> str:
    """Return the results as tables in Markdown."""
    rounds = len(results.rows[0].rounds["verify"])
    taken = (
        f"{taken_on(results.taken_at, results.machine)}; {CONNECTIONS} connections, {rounds} interleaved rounds of "
        f"{results.seconds} s; server and load on a core each."
    )
    lines = [
        taken,
        "",
        "| operation | contender | ÷ nginx: median (range) | per second | p50 ms | p99 ms | CPU µs | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for operation in OPERATIONS:
        lines += [_line(results, row, operation) for row in results.rows[1:] if operation in row.rounds]
    lines += ["", *_beside_the_file(results)]
    lines += ["", *(f"- **{row.name}** {row.version}: {row.notes}." for row in results.rows)]
    return "\n".join(lines) + "\n"


def write(results: Results, root: Path) -> None:
    """Keep the raw results, and renew the page's table and the plot."""
    keep(root, f"{results.taken_at[:10]}.json", results)
    put_between(root, BEGIN, END, tables(results))
    (root / PLOT).write_text(plot(results), encoding="utf-8")


def taken_on(at: str, machine: Machine) -> str:
    """Return when and on what figures were taken."""
    build = "with" if machine.with_pgo else "without"
    return f"{at[:10]}: {machine.processor}, {machine.cores} cores; {machine.python} built {build} PGO; {machine.wrk}"


def keep(root: Path, name: str, results: msgspec.Struct) -> None:
    """Keep raw results."""
    folder = root / "bench" / "results"
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")


def put_between(root: Path, begin: str, end: str, text: str, *, page: Path = PAGE) -> None:
    """Renew what stands between two lines of a page."""
    file = root / page
    before, rest = file.read_text(encoding="utf-8").split(begin)
    file.write_text(f"{before}{begin}\n{text}{end}{rest.split(end)[1]}", encoding="utf-8")


def shown_rate(rounds: Sequence[Measured]) -> str:
    """Return the median rate, and how many requests failed if any did."""
    failed = sum(each.failed for each in rounds)
    return f"{middle(rounds, 'rate'):,.0f}" + (f", {failed} failed" if failed else "")


def shown_times(rounds: Sequence[Measured]) -> str:
    """Return the medians of p50 and p99 in milliseconds, as two cells."""
    return " | ".join(f"{middle(rounds, member):.2f}" for member in ("p50_ms", "p99_ms"))


def _line(results: Results, row: Row, operation: str) -> str:
    rounds, part = row.rounds[operation], ratio(results, row, operation)
    if part is None:
        raise ValueError(f"{row.name} has no {operation}")
    shown = (
        _shown(part),
        shown_rate(rounds),
        shown_times(rounds),
        *(f"{middle(rounds, member):.0f}" for member in ("cpu_us", "memory_mib")),
    )
    return f"| {operation} | {row.name} | {' | '.join(shown)} |"


def _shown(part: Ratio) -> str:
    return f"{part.median:.3f} ({part.least:.3f}–{part.most:.3f})"


def _beside_the_file(results: Results) -> list[str]:
    """Return a table of verifies ÷ nginx' that reads a file."""
    file = next(row for row in results.rows if row.name == FILE)
    lines = ["| verify | ÷ nginx, static file: median (range) | per second |", "|---|---|---|"]
    for row in results.rows:
        part = None if row is file else ratio(results, row, "verify", of=file)
        if part is not None:
            rate = f"{middle(row.rounds['verify'], 'rate'):,.0f}"
            lines.append(f"| {row.name} | {_shown(part)} | {rate} |")
    return lines


_BAR, _GAP, _LEFT, _WIDTH = 16, 14, 230, 420


def plot(results: Results) -> str:
    """Return an SVG with a group of bars per operation: the rate on a logarithmic axis is no help, so ÷ nginx."""
    parts: list[str] = []
    top = 10
    for operation in OPERATIONS:
        shown = [(row, part.median) for row in results.rows[1:] if (part := ratio(results, row, operation))]
        if not shown:
            continue
        parts.append(f'<text x="0" y="{top + 12}" font-weight="bold">{operation}</text>')
        longest = max(value for _, value in shown)
        for row, value in shown:
            top += _BAR + 4
            length = max(1, round(_WIDTH * value / longest))
            colour = "#2b6cb0" if row.name.startswith("sessiond") else "#a0aec0"
            parts += [
                f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end">{row.name}</text>',
                f'<rect x="{_LEFT}" y="{top}" width="{length}" height="{_BAR}" fill="{colour}"/>',
                f'<text x="{_LEFT + length + 6}" y="{top + 12}">{value:.3f}</text>',
            ]
        top += _BAR + _GAP + 10
    return _svg(parts, width=_LEFT + _WIDTH + 80, height=top)


def _svg(parts: Iterable[str], *, width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    return f'{head} font-family="sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n"
