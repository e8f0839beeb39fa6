"""What operations do to each other in one process: creates beside verifies, verifies beside logins with a PIN.

And a verify that has room, below its peak, on each engine (`bench/paced.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import msgspec

from bench import paced
from bench.contender import Client, Running
from bench.loading import open_at
from bench.ours import JSON, serving
from bench.paced import Paced
from bench.processes import SERVER_CORE
from bench.report import keep, put_between, shown_rate, shown_times, taken_on
from bench.results import Machine, middle, this_machine, today
from bench.wrk import CONNECTIONS, Call, Measured, run
from sessiond.crypto.secrets import Secret
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator

BEGIN, END = (
    "<!-- made by `python -m bench beside`: begin -->",
    "<!-- made by `python -m bench beside`: end -->",
)

_PIN = "0123456789"
_USERS = [f"till{number}" for number in range(16)]
"""More than there are connections: attempts on one name wait for each other."""

_AT_THE_DOOR = 4
"""Connections that sign in: fewer than may wait for a hash, more than hash at once."""

_BLOCKS = 8
_LOGINS = 10
"""Logins in a block, whose hashes by themselves follow at once: minutes apart, the machine is another."""

_AT_REST_SECONDS = 0.005
_ARGON2 = f"""
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from sessiond.crypto import pins

stored = pins.hash_pin("{_PIN}", bytes(32), salt=os.urandom(16))

def hashed():
    began = time.thread_time()
    pins.matches(stored, "{_PIN}", bytes(32))
    return time.thread_time() - began

with ThreadPoolExecutor(1) as pool:
    pool.submit(hashed).result()
    for line in sys.stdin:
        print(sum(pool.submit(hashed).result() for _ in range(int(line))) / int(line) * 1e6, flush=True)
"""
"""Hashes on a thread of its own that keeps its memory, as the server does."""


class Logins(msgspec.Struct, frozen=True):
    """What a login of a block took of the server, and what its hash took by itself right after."""

    cpu_us: float
    argon2id_us: float


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run: rounds by what ran, `a beside b` being a's figures while b saturated the server.

    *paced* is of servers of their own, one for each engine.
    """

    taken_at: str
    seconds: int
    machine: Machine
    rounds: Mapping[str, Sequence[Measured]]
    logins: Sequence[Logins]
    paced: Sequence[Paced]


def measure(*, rounds: int, seconds: int) -> Beside:
    """Run everything alone and beside its neighbour, interleaved; then verifies below their peak."""
    found, logins = _one_process(rounds, seconds)
    return Beside(
        taken_at=today(),
        seconds=seconds,
        machine=this_machine(),
        rounds=found,
        logins=logins,
        paced=paced.measure(rounds=rounds, seconds=seconds),
    )


def _one_process(rounds: int, seconds: int) -> tuple[dict[str, list[Measured]], list[Logins]]:
    found: dict[str, list[Measured]] = {}
    logins: list[Logins] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        asyncio.run(_add_users(folder))
        server = stack.enter_context(serving(folder))
        hash_us = stack.enter_context(_hashing())
        for number in range(rounds):
            beside = _Rounds(server, {**server.prepare(number), "login": _login()}, seconds, folder)
            for one, neighbour in (
                ("create", None),
                ("create", "verify"),
                ("verify", None),
                ("verify", "login"),
                ("login", None),
            ):
                measured = beside.run(one, neighbour)
                title = one if neighbour is None else f"{one} beside {neighbour}"
                if title == "login":
                    blocks = beside.logins(hash_us)
                    measured = msgspec.structs.replace(
                        measured, cpu_us=median(each.cpu_us for each in blocks)
                    )
                    logins += blocks
                found.setdefault(title, []).append(measured)
                figures = f"{measured.rate:9.0f}/s p99 {measured.p99_ms:8.2f} ms {measured.cpu_us:6.0f} µs"
                print(f"{number + 1} {title:22} {figures}, {measured.failed} failed", flush=True)
    return found, logins


def tables(beside: Beside) -> str:
    """Return the run in Markdown."""
    count = len(beside.rounds["create"])
    lines = [
        f"{taken_on(beside.taken_at, beside.machine)}; {count} interleaved rounds of {beside.seconds} s.",
        "",
    ]
    lines += ["| operation | per second | p50 ms | p99 ms | CPU µs |", "|---|---|---|---|---|"]
    for title, rounds in beside.rounds.items():
        cpu = "" if " beside " in title else f"{middle(rounds, 'cpu_us'):.0f}"
        lines.append(f"| {title} | {shown_rate(rounds)} | {shown_times(rounds)} | {cpu} |")
    share = middle(beside.rounds["create beside verify"], "rate") / middle(beside.rounds["create"], "rate")
    argon2id = median(each.argon2id_us for each in beside.logins)
    over = median(each.cpu_us / each.argon2id_us for each in beside.logins) - 1
    told = (
        f"While verifies saturate the process, creates keep {share:.2f} of their own rate. A login takes "
        f"{over:.0%} more processor time than its Argon2id, which takes {argon2id:,.0f} µs by itself."
    )
    return "\n".join([*lines, "", told, "", *paced.table(beside.paced)]) + "\n"


def write(beside: Beside, root: Path) -> None:
    """Keep the raw results and renew the page's table."""
    keep(root, f"{beside.taken_at[:10]}-beside.json", beside)
    put_between(root, BEGIN, END, tables(beside))


class _Rounds:
    """Runs operations of one server, alone or beside each other."""

    def __init__(self, server: Running, calls: Mapping[str, Call], seconds: int, folder: Path) -> None:
        self._server = server
        self._calls = calls
        self._seconds = seconds
        self._folder = folder
        (folder / "beside").mkdir(exist_ok=True)

    def run(self, one: str, neighbour: str | None) -> Measured:
        """Return the figures of *one* while *neighbour* runs, too."""
        _wait_for_rest(self._server)
        if neighbour is None:
            return self._alone(one, self._seconds, self._folder, at_the_door=1)
        with ThreadPoolExecutor(1) as pool:
            # A second longer, so that it is there from the beginning to the end.
            other = pool.submit(self._alone, neighbour, self._seconds + 1, self._folder / "beside")
            measured = self._alone(one, self._seconds, self._folder)
            other.result()
        return measured

    def logins(self, hash_us: Callable[[int], float]) -> list[Logins]:
        """Return what logins take, block by block, every one answered, so that none counts in part."""
        client, found = Client(self._server.base_url), []
        _wait_for_rest(self._server)
        for _ in range(_BLOCKS):
            before = self._server.server.cpu_seconds()
            for number in range(_LOGINS):
                client.ask("POST", "/auth/login", {"name": _USERS[number], "pin": _PIN})
            login_us = (self._server.server.cpu_seconds() - before) / _LOGINS * 1e6
            found.append(Logins(login_us, hash_us(_LOGINS)))
        return found

    def _alone(self, one: str, seconds: int, folder: Path, *, at_the_door: int = _AT_THE_DOOR) -> Measured:
        connections = at_the_door if one == "login" else CONNECTIONS
        return run(
            self._calls[one],
            self._server.base_url,
            self._server.server,
            seconds=seconds,
            folder=folder,
            connections=connections,
        )


def _wait_for_rest(server: Running) -> None:
    """Return when the server has done what the clients of the last round left behind, such as hashes for nobody."""
    spent = server.server.cpu_seconds()
    for _ in range(100):
        time.sleep(0.2)
        before, spent = spent, server.server.cpu_seconds()
        if spent - before < _AT_REST_SECONDS:
            return
    raise RuntimeError("the server does not come to rest")


async def _add_users(folder: Path) -> None:
    opened = await open_at(folder / "data")
    try:
        for name in _USERS:
            await opened.services.pins.add_user(DEFAULT_PROJECT, name, Secret(_PIN), by=Initiator("bench"))
    finally:
        await opened.close()


def _login() -> Call:
    body = f'{{"name":"{{token}}","pin":"{_PIN}"}}'
    return Call(method="POST", path="/auth/login", headers=JSON, body=body, tokens=_USERS, again=True)


@contextlib.contextmanager
def _hashing() -> Iterator[Callable[[int], float]]:
    """Give what returns the mean of so many hashes in µs of the server's core, without a server around them."""
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-c", _ARGON2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the hashes have no pipe")
        asked, told = process.stdin, process.stdout

        def hash_us(times: int) -> float:
            print(times, file=asked, flush=True)
            return float(told.readline())

        yield hash_us
