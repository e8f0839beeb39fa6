"""What becomes slower with the number of live sessions: the same operations on deployments of different sizes.

The servers of all sizes run beside each other and rounds are interleaved, so that all see the same machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.contender import Client, Running
from bench.loading import CROWD, CROWD_SESSIONS, Loaded, fill
from bench.ours import JSON, KEY, serving
from bench.results import Machine, this_machine, today
from bench.wrk import Call, Measured, run

SIZES = (10_000, 100_000, 1_000_000)
OPERATIONS = ("verify, in memory", "verify, past memory", "create", "refresh")
PURGED_BESIDE = ("verify, in memory", "create", "refresh")
_PURGED = 1_000_000
_MEMORY_AT = 1_000_000
_SMALL_MEMORY = {"SESSIOND_CACHE_RECORDS": "1000"}
_HOT = 200
_CACHED = 100_000
_PAGE = 100
_ASKED = 30
_PURGE_BEGINS_WITHIN_SECONDS = 120


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one size. *memory_mib* is a server's that holds 100,000 sessions, where it was looked at."""

    sessions: int
    file_bytes: int
    startup_seconds: float
    rounds: Mapping[str, Sequence[Measured]]
    first_page_ms: float
    whole_list_ms: float
    revoke_subject_ms: float
    revoke_project_ms: float
    memory_mib: float | None


class Purge(msgspec.Struct, frozen=True, kw_only=True):
    """Rounds before a purge of *sessions* beside *live* ones and during it, and how fast it went meanwhile."""

    sessions: int
    live: int
    before: Mapping[str, Sequence[Measured]]
    during: Mapping[str, Sequence[Measured]]
    purged_per_second: float


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    taken_at: str
    seconds: int
    machine: Machine
    sizes: Sequence[Grown]
    purge: Purge


class _Following(msgspec.Struct, frozen=True):
    """What is read of a page of a list: reading the rest, too, would be the client's time and not the server's."""

    next: str | None


class _Size:
    """One deployment while it is measured."""

    def __init__(self, loaded: Loaded, rounds: int) -> None:
        self.loaded = loaded
        self.folder = loaded.data.parent
        self.file_bytes = loaded.database.stat().st_size
        self.rounds: dict[str, list[Measured]] = {}
        self.startup_seconds = 0.0
        self._each = len(loaded.refresh_tokens) // (rounds + 1)

    @contextlib.contextmanager
    def serving(self, environ: Mapping[str, str] | None = None) -> Iterator[Running]:
        began = time.perf_counter()
        with serving(self.folder, environ=environ) as started:
            self.startup_seconds = time.perf_counter() - began
            yield started

    def call(self, operation: str, number: int) -> Call:
        """Return what a round does; sessions that are refreshed are not verified any more."""
        loaded, part = self.loaded, slice((number + 1) * self._each, (number + 2) * self._each)
        match operation:
            case "verify, in memory":
                return verifying(loaded.access_tokens[: min(_HOT, self._each)])
            case "verify, past memory":
                return verifying(loaded.access_tokens)
            case "create":
                body = '{"subject":"{token}"}'
                return Call(
                    method="POST",
                    path="/v1/sessions",
                    headers={**KEY, **JSON},
                    body=body,
                    tokens=loaded.subjects[part],
                    again=True,
                )
            case _:
                return Call(
                    method="POST",
                    path="/v1/session/refresh",
                    headers=JSON,
                    body='{"refresh_token":"{token}"}',
                    tokens=loaded.refresh_tokens[part],
                    next_token='"refresh_token":"([^"]+)"',
                )


def verifying(tokens: Sequence[str]) -> Call:
    """Return a verify of each of *tokens* in turn."""
    headers = {"Authorization": "Bearer {token}"}
    return Call(path="/v1/session", headers=headers, tokens=tokens, again=True)


def measure(*, largest: int, rounds: int, seconds: int) -> Growth:
    """Fill a deployment of each size up to *largest*, and measure them; takes some 5 minutes up to a million."""
    sizes = sorted({each for each in SIZES if each < largest} | {largest})
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        filled = [_Size(_filled(folder / str(count), count), rounds) for count in sizes]
        _interleaved(filled, ("verify, past memory",), rounds, seconds, environ=_SMALL_MEMORY)
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(size.serving()) for size in filled]
            pairs = list(zip(filled, servers, strict=True))
            _rounds(pairs, PURGED_BESIDE, rounds, seconds)
            grown = [_grown(size, server) for size, server in pairs]
        purge = _purging(
            _Size(_filled(folder / "purge", _MEMORY_AT, ended=_PURGED), rounds * 2), rounds, seconds
        )
    return Growth(taken_at=today(), seconds=seconds, machine=this_machine(), sizes=grown, purge=purge)


def _filled(folder: Path, count: int, *, ended: int = 0) -> Loaded:
    print(f"writing {count:,} sessions" + (f" and {ended:,} ended ones" if ended else ""), flush=True)
    loaded = asyncio.run(fill(folder / "data", count, ended=ended))
    os.sync()  # or the kernel writes all of it back beside the first round
    return loaded


def _interleaved(
    sizes: Sequence[_Size],
    operations: Sequence[str],
    rounds: int,
    seconds: int,
    *,
    environ: Mapping[str, str] | None = None,
) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [(size, stack.enter_context(size.serving(environ))) for size in sizes]
        _rounds(pairs, operations, rounds, seconds)


def _rounds(
    pairs: Sequence[tuple[_Size, Running]],
    operations: Sequence[str],
    rounds: int,
    seconds: int,
    first: int = 0,
) -> None:
    for number in range(first, first + rounds):
        for operation in operations:
            for size, server in pairs:
                measured = run(
                    size.call(operation, number),
                    server.base_url,
                    server.server,
                    seconds=seconds,
                    folder=size.folder,
                )
                size.rounds.setdefault(operation, []).append(measured)
                print(
                    f"{number + 1} {operation:20} {size.loaded.sessions:12,} {measured.rate:10.0f}/s "
                    f"p99 {measured.p99_ms:7.2f} ms {measured.cpu_us:5.0f} µs"
                    + (f", {measured.failed} failed" if measured.failed else ""),
                    flush=True,
                )


def _grown(size: _Size, server: Running) -> Grown:
    """Measure what is done once: lists, then what ends sessions."""
    client = Client(server.base_url)
    memory = _memory_when_full(size, server) if size.loaded.sessions == _MEMORY_AT else None
    pages = [_took(lambda: _pages(client, 1)) for _ in range(_ASKED)]
    lists = [_took(lambda: _pages(client, CROWD_SESSIONS // _PAGE)) for _ in range(_ASKED)]
    return Grown(
        sessions=size.loaded.sessions,
        file_bytes=size.file_bytes,
        startup_seconds=size.startup_seconds,
        rounds=size.rounds,
        first_page_ms=statistics.median(pages),
        whole_list_ms=statistics.median(lists),
        revoke_subject_ms=_took(lambda: client.ask("DELETE", f"/v1/subjects/{CROWD}/sessions", headers=KEY)),
        revoke_project_ms=_took(lambda: client.ask("DELETE", "/v1/project/sessions", headers=KEY)),
        memory_mib=memory,
    )


def _memory_when_full(size: _Size, server: Running) -> float:
    """Verify 100,000 sessions, and return what the server then takes."""
    tokens, asked = size.loaded.access_tokens[:_CACHED], 0
    while asked < _CACHED:
        asked += run(
            verifying(tokens[asked:]), server.base_url, server.server, seconds=5, folder=size.folder
        ).requests
    return server.server.memory_bytes() / 2**20


def _pages(client: Client, most: int) -> None:
    path = f"/v1/sessions?subject={CROWD}&limit={_PAGE}"
    after = ""
    for _ in range(most):
        following = msgspec.json.decode(client.ask("GET", path + after, headers=KEY)[1], type=_Following).next
        if following is None:
            return
        after = f"&after={following}"


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _purging(size: _Size, rounds: int, seconds: int) -> Purge:
    """Measure the same rounds before the server's purge begins and while it is at work."""
    with size.serving() as server, contextlib.closing(_looking(size.loaded.database)) as database:
        oldest = _oldest(database)
        _rounds([(size, server)], PURGED_BESIDE, rounds, seconds)
        if _oldest(database) != oldest:
            raise RuntimeError(
                "the purge began before the rounds without it were over: take fewer or shorter ones"
            )
        before, size.rounds = size.rounds, {}
        until = time.monotonic() + _PURGE_BEGINS_WITHIN_SECONDS
        while _oldest(database) == oldest and time.monotonic() < until:
            time.sleep(0.2)
        left, began = _count(database), time.monotonic()
        _rounds([(size, server)], PURGED_BESIDE, rounds, seconds, first=rounds)
        took = time.monotonic() - began
        created = sum(each.requests for each in size.rounds["create"])
        purged = left + created - _count(database)
    return Purge(
        sessions=_PURGED,
        live=size.loaded.sessions,
        before=before,
        during=size.rounds,
        purged_per_second=purged / took,
    )


def _looking(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)


def _oldest(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT min(expires_at) FROM sessions").fetchone()[0])


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT count(*) FROM sessions").fetchone()[0])
