"""What a session costs each engine: bytes, and processor time on the node and on the engine, for each operation.

Through the store alone, without HTTP: what scaling has to reckon with besides (`docs/operations/scaling.md`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import uvloop

from bench.engines import ENGINES, Engine
from bench.report import keep, put_between, taken_on
from bench.results import Machine, this_machine, today
from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SubjectId, mint_id
from sessiond.domain.sessions import Client, Session
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples

PAGE = Path("docs/operations/scaling.md")
BEGIN, END = (
    "<!-- made by `python -m bench costs`: begin -->",
    "<!-- made by `python -m bench costs`: end -->",
)
_AT_ONCE = 128
_OPERATIONS = 20_000
_CLIENT = Client(
    address="203.0.113.77",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
)


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one operation, in µs of processor time: this process's, and the engine's; and how many a second there were.

    *refused* counts those that the engine could not answer, as on a machine that is busy with other things.
    """

    node_us: float
    engine_us: float
    rate: float
    refused: int


class EngineCosts(msgspec.Struct, frozen=True, kw_only=True):
    """One engine's; *bytes_each* is of a session with a subject of its own and one event."""

    engine: str
    sessions: int
    bytes_each: float
    create: Cost
    verify: Cost
    refresh: Cost


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    taken_at: str
    machine: Machine
    engines: Sequence[EngineCosts]


def measure(*, sessions: int, only: Sequence[str] = ()) -> Costs:
    """Fill every engine (or those with a part of *only* in their names) with so many *sessions*, and measure."""
    found = []
    for name, start in ENGINES.items():
        if only and not any(part in name for part in only):
            continue
        with start() as engine:
            costs = uvloop.run(_costs(name, engine, sessions))
        print(costs, flush=True)
        found.append(costs)
    return Costs(taken_at=today(), machine=this_machine(), engines=found)


def table(costs: Costs) -> str:
    """Return the run in Markdown."""
    count = costs.engines[0].sessions
    lines = [
        f"{taken_on(costs.taken_at, costs.machine)}; {count:,} sessions, {_AT_ONCE} callers at once.",
        "",
        "| engine | bytes per session, subject, event | create: node µs, engine µs | verify | refresh |",
        "|---|---|---|---|---|",
    ]
    for each in costs.engines:
        parts = [_shown(cost) for cost in (each.create, each.verify, each.refresh)]
        lines.append(f"| {each.engine} | {each.bytes_each:,.0f} | {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


def _shown(cost: Cost) -> str:
    shown = f"{cost.node_us:.0f}, {cost.engine_us:.0f}"
    return shown + (f" ({cost.refused} refused)" if cost.refused else "")


def write(costs: Costs, root: Path) -> None:
    """Keep the raw results and renew the page's table."""
    keep(root, f"{costs.taken_at[:10]}-costs.json", costs)
    put_between(root, BEGIN, END, table(costs), page=PAGE)


async def _costs(name: str, engine: Engine, count: int) -> EngineCosts:
    store = await open_store(engine.url, role=Role.SERVER)
    try:
        await store.apply(samples.put(samples.project(), samples.deployment()))
        empty, now = engine.stored(), int(time.time() * 1000)
        made: list[Session] = []

        async def create(number: int) -> None:
            session = _session(number, now)
            partition = session.key.partition
            subject = samples.subject(session.subject, partition=partition)
            await store.apply(samples.put(subject, session, events=(samples.event(partition=partition),)))
            made.append(session)

        async def verify(_: int) -> None:
            await store.find_session(DEFAULT_PROJECT, random.choice(made).id)  # noqa: S311

        async def refresh(number: int) -> None:
            await store.apply(samples.put(made[number % len(made)].rotated(now=now, kid=5)))

        created = await _measured(engine, count, create)
        stored = engine.stored() - empty
        random.shuffle(made)
        some = min(count, _OPERATIONS)
        return EngineCosts(
            engine=name,
            sessions=count,
            bytes_each=stored / len(made),
            create=created,
            verify=await _measured(engine, some, verify),
            refresh=await _measured(engine, some, refresh),
        )
    finally:
        await store.close()


def _session(number: int, now: int) -> Session:
    partition = Partition(random.randrange(4096))  # noqa: S311  no secret
    identifier = mint_id(now=now + number // 20, partition=partition, entropy=os.urandom(8))
    name = SubjectId(os.urandom(8).hex())
    return msgspec.structs.replace(samples.session(name, id=identifier, created_at=now), client=_CLIENT)


async def _measured(engine: Engine, count: int, work: Callable[[int], Awaitable[None]]) -> Cost:
    numbers, refused = itertools.count(), itertools.count()

    async def caller() -> None:
        while (number := next(numbers)) < count:
            try:
                await work(number)
            except (Unavailable, Conflict):
                next(refused)

    began, node, there = time.perf_counter(), time.process_time(), engine.cpu_seconds()
    await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
    return Cost(
        node_us=(time.process_time() - node) / count * 1e6,
        engine_us=(engine.cpu_seconds() - there) / count * 1e6,
        rate=count / (time.perf_counter() - began),
        refused=next(refused),
    )
