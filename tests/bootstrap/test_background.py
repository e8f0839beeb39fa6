from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from sessiond.bootstrap.background import Background
from sessiond.bootstrap.machine import SystemClock
from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.config.loading import load
from sessiond.crypto.ring import KeyRing
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import Instant, later, millis
from sessiond.domain.keys import KeyKind, KeyState
from sessiond.domain.records import Kind
from sessiond.domain.rules import PurgeRules
from sessiond.domain.sessions import SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Selection
from sessiond.storage.engine import Role
from tests.deployment import BY

AT_ONCE = PurgeRules(ended_sessions=timedelta(seconds=-1))
SESSIONS = Selection(kind=Kind.SESSION)
SUBJECTS = Selection(kind=Kind.SUBJECT)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    loaded = load(environ={}, flags={"data_dir": str(tmp_path / "data")})
    deployment = await open_deployment(loaded, Role.SERVER)
    yield deployment
    await deployment.close()


async def end_sessions(opened: Opened, count: int) -> None:
    for _ in range(count):
        order = Order(
            project=DEFAULT_PROJECT,
            subject=SubjectId("alice"),
            session_kind=SessionKind.TOKENS,
            by=BY,
            create=SubjectKind.USER,
        )
        issued = await opened.services.issuing.issue(order)
        await opened.services.sessions.revoke(issued.session, reason="test", by=BY)


async def test_the_witness_follows_the_store(opened: Opened) -> None:
    background = Background(opened)
    await background.each_second()
    before = opened.files.read_witness()

    await opened.services.projects.add("new", by=BY)
    await background.each_second()

    after = opened.files.read_witness()
    assert before is not None
    assert after is not None
    assert after.newest_event == await opened.store.newest_event() > before.newest_event


async def test_a_witness_that_did_not_change_is_not_written(opened: Opened) -> None:
    background = Background(opened)
    await background.each_second()
    opened.files.path("witness").unlink()

    await background.each_second()

    assert not opened.files.path("witness").exists()


async def test_a_purge_takes_everything_whose_time_is_over(opened: Opened) -> None:
    await end_sessions(opened, 3)
    background = Background(opened)

    await background.purge()
    assert await opened.store.count(SESSIONS) == 3

    background.purge_rules = AT_ONCE
    await background.purge()
    assert await opened.store.count(SESSIONS) == 0


async def test_a_purge_takes_who_is_anonymous_and_has_no_session_any_more(opened: Opened) -> None:
    subjects, background = opened.services.subjects, Background(opened)
    await subjects.create(DEFAULT_PROJECT, SubjectId("visitor"), by=BY, anonymous=True)
    await subjects.create(DEFAULT_PROJECT, SubjectId("user"), by=BY)

    await background.purge()
    assert await opened.store.count(SUBJECTS) == 2

    background.purge_rules = PurgeRules(anonymous_subjects=timedelta(seconds=-1))
    await background.purge()
    assert await opened.store.count(SUBJECTS) == 1


async def test_a_clock_that_stepped_is_told_and_purges_nothing_for_a_while(opened: Opened) -> None:
    await end_sessions(opened, 1)
    background = Background(opened)
    background.purge_rules = AT_ONCE
    before = await opened.store.newest_event()
    opened.clock.stepped.append(86_400_000)

    await background.each_second()
    await background.purge()

    told = [event for _, event in await opened.store.events(after=before, limit=10)]
    assert [(event.type, event.data) for event in told] == [
        (EventType.CLOCK_STEPPED, {"step_ms": 86_400_000})
    ]
    assert await opened.store.count(SESSIONS) == 1


async def test_a_step_that_a_purge_notices_first_purges_nothing(opened: Opened) -> None:
    await end_sessions(opened, 1)
    wall_ms = opened.clock.now()
    clock = SystemClock(lambda: wall_ms * 1_000_000, lambda: 0)
    background = Background(msgspec.structs.replace(opened, clock=clock))
    wall_ms += millis(timedelta(days=365))

    await background.purge()

    assert await opened.store.count(SESSIONS) == 1


async def test_nothing_is_purged_while_time_leads_the_wall_clock(opened: Opened) -> None:
    await end_sessions(opened, 1)
    wall_ms, steady_ms, year = opened.clock.now(), 0, millis(timedelta(days=365))
    clock = SystemClock(lambda: wall_ms * 1_000_000, lambda: steady_ms * 1_000_000)
    background = Background(msgspec.structs.replace(opened, clock=clock))
    wall_ms += year
    await background.each_second()
    wall_ms -= year
    await background.each_second()
    wall_ms += millis(timedelta(hours=2))
    steady_ms += millis(timedelta(hours=2))

    await background.purge()

    assert await opened.store.count(SESSIONS) == 1


async def test_stopping_does_once_more_what_is_done_each_second(opened: Opened) -> None:
    background = Background(opened)
    background.start()

    await background.stop()

    assert opened.files.read_witness() is not None


async def put_old_ring(opened: Opened, kind: KeyKind, *, born: timedelta, rotated: timedelta) -> None:
    """Put a ring that was born and rotated so long ago."""

    def old_ring(_: KeyRing, now: Instant) -> KeyRing:
        ring = KeyRing.initial(opened.entropy, later(now, -born))
        return ring.rotated(DEFAULT_PROJECT, kind, opened.entropy, later(now, -rotated))

    await opened.services.ring_writing.change(old_ring, by=BY, facts={})


def states(opened: Opened, kind: KeyKind) -> set[KeyState]:
    return {key.state for key in opened.services.keys.ring.held() if key.line.kind is kind}


async def test_a_key_whose_time_has_come_takes_over(opened: Opened) -> None:
    minutes = timedelta(minutes=1)
    await put_old_ring(opened, KeyKind.ROOT, born=3 * minutes, rotated=2.5 * minutes)
    before = states(opened, KeyKind.ROOT)

    await Background(opened).each_second()

    assert before == {KeyState.ACTIVE, KeyState.PENDING}
    assert states(opened, KeyKind.ROOT) == {KeyState.ACTIVE, KeyState.PENDING, KeyState.RETIRED}


async def test_a_key_that_nothing_needs_is_destroyed(opened: Opened) -> None:
    hours = timedelta(hours=1)
    await put_old_ring(opened, KeyKind.SIGNING, born=30 * hours, rotated=26 * hours)

    await Background(opened).keep_keys()

    assert states(opened, KeyKind.SIGNING) == {KeyState.ACTIVE, KeyState.PENDING, KeyState.DESTROYED}
