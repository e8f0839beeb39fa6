"""A verify at 70 % of its peak, on each engine: how long it takes where there is room for every one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from statistics import median
from urllib.parse import urlsplit

import msgspec

from bench.contender import Running, all_started
from bench.open_loop import Answered, Load
from bench.ours import on_postgresql, on_redis_cluster, on_sqlite
from bench.processes import LOAD_CORE
from bench.report import shown_rate, shown_times
from bench.results import middle
from bench.wrk import CONNECTIONS, Call, Measured, measured, run

PEAK_SHARE = 0.7
_PATIENCE_SECONDS = 120
"""How much longer than it should a load may take: what is due waits for ever, if the server falls behind."""


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """Of one engine: rounds at the peak, made by wrk, and after each one at a share of its rate.

    The times of the latter count from the moments at which requests were due.
    """

    name: str
    peaks: Sequence[Measured]
    rounds: Sequence[Measured]


def measure(*, rounds: int, seconds: int) -> list[Paced]:
    """Find the peak of each engine in turn, and load it with a share of that, for so many rounds."""
    with all_started([on_sqlite(), on_postgresql(), on_redis_cluster()]) as (folder, started):
        pairs: dict[str, list[tuple[Measured, Measured]]] = {each.name: [] for each, _ in started}
        for number in range(rounds):
            for contender, running in started:
                call = running.prepare(number)["verify"]
                peak = run(call, running.base_url, running.server, seconds=seconds, folder=folder)
                paced = at_rate(call, running, per_second=PEAK_SHARE * peak.rate, seconds=seconds)
                pairs[contender.name].append((peak, paced))
                print(
                    f"{number + 1} {contender.name:24} {paced.rate:9.0f}/s of {peak.rate:9.0f} "
                    f"p99 {paced.p99_ms:8.2f} ms {paced.cpu_us:6.0f} µs, {paced.failed} failed",
                    flush=True,
                )
    return [
        Paced(name=name, peaks=[peak for peak, _ in each], rounds=[paced for _, paced in each])
        for name, each in pairs.items()
    ]


def at_rate(call: Call, running: Running, *, per_second: float, seconds: int) -> Measured:
    """Load *running* with so many of *call* a second, due at random moments, by a process on the load's core."""
    address = urlsplit(running.base_url)
    load = Load(
        host=address.hostname or "",
        port=address.port or 0,
        request=_request(call, address.netloc),
        count=round(per_second * seconds),
        seconds=seconds,
        connections=CONNECTIONS,
    )

    def loaded() -> Answered:
        told = subprocess.run(
            ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "bench.open_loop"],
            input=msgspec.json.encode(load),
            stdout=subprocess.PIPE,
            check=True,
            timeout=seconds + _PATIENCE_SECONDS,
        ).stdout
        return msgspec.json.decode(told, type=Answered)

    return measured(running.server, loaded)


def table(paced: Iterable[Paced]) -> list[str]:
    """Return the rounds in Markdown: medians, the share round by round."""
    head = f"verify at {PEAK_SHARE:.0%} of its peak | the peak, per second | per second (÷ the peak)"
    lines = [f"| {head} | p50 ms | p99 ms | CPU µs |", "|---|---|---|---|---|---|"]
    for each in paced:
        share = median(below.rate / peak.rate for below, peak in zip(each.rounds, each.peaks, strict=True))
        rates = f"{shown_rate(each.peaks)} | {shown_rate(each.rounds)} ({share:.2f})"
        cpu = middle(each.rounds, "cpu_us")
        lines.append(f"| {each.name} | {rates} | {shown_times(each.rounds)} | {cpu:.0f} |")
    return lines


def _request(call: Call, host: str) -> str:
    """Return the head of *call*, which has no body and nothing to fill in, as wrk writes it."""
    lines = [f"{call.method} {call.path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    return "\r\n".join([*lines, "", ""])
