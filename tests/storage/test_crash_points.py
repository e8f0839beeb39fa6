"""A crash or an error at any point at which the engine writes or syncs: nothing acknowledged is lost or half done.

`make test` tries some of the points, `make soak` all of them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessiond.domain.ids import PARTITIONS, SubjectId
from sessiond.storage.engine import Role
from sessiond.storage.engines import sqlite
from sessiond.storage.engines.sqlite import migrations
from sessiond.testing import samples
from tests.disks import deeds
from tests.disks.faulty import Action, FaultyDisk, compiled

pytestmark = pytest.mark.slow

ENDS = (Action.KILL, Action.TEAR, Action.CUT)
ERRORS = (errno.EIO, errno.ENOSPC, errno.EROFS)
LASTING = 4
FIRST = 8
"""Points before it are those of the opening: the file's header, the log, its index."""
TOLD = 100
"""Events of the database that is upgraded: more than a page of them."""
FEW = 36
"""How many of the points are tried outside the soak."""


class Workshop:
    """A process with a faulty disk, which does the same work on one new database after the other."""

    def __init__(self, folder: Path) -> None:
        self._below = folder / "disk"
        self.disk = FaultyDisk(compiled(folder), folder, self._below)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.disks.worker"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.disk.environment,
        )

    @property
    def url(self) -> str:
        return f"sqlite:///{self._below}/sessiond.db"

    def clean(self) -> None:
        shutil.rmtree(self._below, ignore_errors=True)

    def put(self, folder: Path) -> None:
        """Have a copy of *folder* on the disk, and nothing else."""
        self.clean()
        shutil.copytree(folder, self._below)

    def run(self, before: str = "") -> list[str]:
        """Do the work, or what the disk lets be done, and return what was said; *before* is `open` for no more."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{before} {self.url}\n")
        self._process.stdin.flush()
        lines: list[str] = []
        while not (lines and lines[-1].startswith("end")):
            line = self._process.stdout.readline()
            assert line, "the worker ended"
            lines.append(line.strip())
        return lines

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()


def points_of(workshop: Workshop) -> int:
    """Return how many points the work has when nothing fails."""
    workshop.clean()
    workshop.disk.work()
    assert workshop.run()[-2:] == ["closed", "end 0"]
    return workshop.disk.passed


async def assert_whole(workshop: Workshop, lines: list[str]) -> int:
    """Open the database and compare it with what was said; return how many deeds were acknowledged."""
    workshop.disk.work()
    store = await sqlite.open_store(workshop.url, role=Role.SERVER)
    acknowledged = Counter(line.split()[1] for line in lines if line.startswith("done"))
    for number in range(2 * deeds.SESSIONS):
        done = await deeds.done_to(store, number)
        assert acknowledged[str(number)] <= done <= acknowledged[str(number)] + 1, number
    await store.apply(samples.put(samples.subject(SubjectId("afterwards"))))
    await store.close()
    return acknowledged.total()


Rounds = list[tuple[int, int, int]]
"""Each a point, what happens there, and a seed."""


def some(points: int, choices: tuple[int, ...]) -> Rounds:
    """Return rounds at some of the points, with the choices in turn."""
    chosen = range(1, points, points // FEW)
    return [(point, choices[n % len(choices)], n) for n, point in enumerate(chosen)]


async def crash_at_each(workshop: Workshop, rounds: Rounds) -> Counter[str]:
    """Crash in each way at each point, and return what was seen."""
    seen: Counter[str] = Counter(rounds=len(rounds))
    for point, action, seed in rounds:
        workshop.clean()
        workshop.disk.kill_at(point, Action(action), seed=seed)
        lines = workshop.run()
        seen["crashes"] += lines[-1] == "end 9"
        seen["acknowledged"] += await assert_whole(workshop, lines)
    return seen


async def fail_at_each(workshop: Workshop, rounds: Rounds) -> Counter[str]:
    """Let some calls from each point on fail, and return what was seen."""
    seen: Counter[str] = Counter(rounds=len(rounds))
    for point, error, _ in rounds:
        workshop.clean()
        workshop.disk.fail_at(point, error, lasting=LASTING)
        lines = workshop.run()
        if lines[0].startswith("unopened"):  # and nothing is left behind that keeps it from opening
            seen["unopened"] += 1
            workshop.disk.work()
            lines = workshop.run()
        assert lines[-2:] == ["closed", "end 0"]
        refused = [line for line in lines if line.startswith("refused")]
        # It answers again without a restart: what comes long after the errors is done.
        assert not [line for line in refused if int(line.split()[1]) >= 2 * deeds.SESSIONS - deeds.AT_ONCE]
        seen["refused"] += len(refused)
        seen["acknowledged"] += await assert_whole(workshop, lines)
    return seen


async def test_a_crash_at_any_write_leaves_what_was_acknowledged_and_nothing_half(workshop: Workshop) -> None:
    rounds = some(points_of(workshop), ENDS)

    seen = await crash_at_each(workshop, rounds)

    assert seen["crashes"] > FEW // 2
    assert seen["acknowledged"] > FEW


async def test_an_error_at_any_write_is_a_refusal_and_passes(workshop: Workshop) -> None:
    points = points_of(workshop) // 2
    rounds = [(point, errno.EIO, 0) for point in range(1, FIRST)] + some(points, ERRORS)

    seen = await fail_at_each(workshop, rounds)

    assert seen["refused"]
    assert seen["unopened"]


@pytest.mark.soak
async def test_a_crash_at_every_write_leaves_what_was_acknowledged(
    workshop: Workshop, record_property: Callable[[str, object], None]
) -> None:
    points = points_of(workshop)
    ways = (Action.KILL, Action.TEAR, Action.CUT, Action.CUT)

    seen = await crash_at_each(
        workshop, [(point, way, seed) for seed, way in enumerate(ways) for point in range(1, points + 1)]
    )

    assert seen["crashes"] > points * len(ways) * 0.9
    for name, count in ({"points": points} | seen).items():
        record_property(name, count)


@pytest.mark.soak
async def test_an_error_at_every_write_is_a_refusal_and_passes(
    workshop: Workshop, record_property: Callable[[str, object], None]
) -> None:
    points = points_of(workshop)

    seen = await fail_at_each(
        workshop, [(point, error, 0) for error in ERRORS for point in range(1, points // 2)]
    )

    for name, count in ({"points": points} | seen).items():
        record_property(name, count)


@pytest.fixture
async def former(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of the first schema: what is in it must outlive an upgrade, events with their numbers."""
    oldest, folder = migrations.migrations()[:1], tmp_path / "former"
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "migrations", lambda: oldest)
        store = await sqlite.open_store(f"sqlite:///{folder}/sessiond.db", role=Role.SERVER)
        for number in range(deeds.SESSIONS):
            await store.apply(samples.put(deeds.session_of(number), deeds.subject_of(number)))
        await store.close()
    insert = "INSERT INTO events (type, at, partition, project, by) VALUES ('pin.set', ?, ?, ?, 'cli')"
    with contextlib.closing(sqlite3.connect(folder / "sessiond.db")) as database, database:
        for at in range(1, TOLD + 2):
            database.execute(insert, (at, at % PARTITIONS, bytes(16)))
        database.execute("DELETE FROM events WHERE at > ?", (TOLD,))
    return folder


async def assert_upgraded(workshop: Workshop) -> None:
    """Open what an upgrade left, whatever became of it, and find everything that was there."""
    workshop.disk.work()
    store = await sqlite.open_store(workshop.url, role=Role.SERVER)
    sessions = [deeds.session_of(number) for number in range(deeds.SESSIONS)]
    assert await store.get_many([each.key for each in sessions]) == sessions
    told = await store.events(after=0, limit=2 * TOLD)
    assert [(number, event.at) for number, event in told] == [(n, n) for n in range(1, TOLD + 1)]
    await store.apply(samples.put(samples.subject(SubjectId("afterwards")), events=(samples.event(),)))
    assert await store.newest_event() == TOLD + 2  # no number is given twice, not even one that was purged
    await store.close()


async def test_an_upgrade_that_crashes_or_fails_anywhere_loses_nothing_and_is_done_by_the_next_start(
    workshop: Workshop, former: Path
) -> None:
    workshop.put(former)
    workshop.disk.work()
    assert workshop.run("open") == ["closed", "end 0"]
    points = workshop.disk.passed

    for point in range(1, points + 1):
        workshop.put(former)
        workshop.disk.kill_at(point, Action(ENDS[point % len(ENDS)]), seed=point)
        assert workshop.run("open")[-1] == "end 9"
        await assert_upgraded(workshop)
        workshop.put(former)
        workshop.disk.fail_at(point, ERRORS[point % len(ERRORS)], lasting=LASTING)
        assert workshop.run("open")[-1] == "end 0"
        await assert_upgraded(workshop)
