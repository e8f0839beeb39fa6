from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from sessiond.bootstrap.background import purge_bite
from sessiond.domain.audit_chain import LEASE_MS, link_key, parse_head
from sessiond.domain.audit_check import Fault
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.rules import PurgeRules
from sessiond.domain.session_filters import Span
from sessiond.services.audit_chains import chain_partition
from sessiond.services.audit_sealing import LOOKED_EVERY_MS
from sessiond.services.auditing import Report
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from tests.deployment import BY, NOON, SetClock, TestDeployment

Tamper = Callable[[sqlite3.Connection], object]


@contextlib.asynccontextmanager
async def deployed(directory: Path, clock: SetClock) -> AsyncIterator[TestDeployment]:
    """Open the deployment in *directory* as a server does."""
    store = await open_store(f"sqlite:///{directory / 'sessiond.db'}", role=Role.SERVER)
    try:
        yield await TestDeployment.born(store=store, clock=clock)
    finally:
        await store.close()


async def seal(node: TestDeployment) -> None:
    while await node.services.sealer.seal():
        pass


async def live(node: TestDeployment) -> None:
    """Have twelve subjects come. The events up to the sequence 22 are sealed, in three links; four are not."""
    await seal(node)
    for n in range(12):
        if n % 5 == 0:
            await seal(node)
        await node.issue(SubjectId(f"user-{n}"))


async def note(node: TestDeployment) -> None:
    """Have the sealer write down how far it came, as it does every few seconds."""
    for _ in range(2):
        await seal(node)
        node.clock.advance(milliseconds=LOOKED_EVERY_MS)
    await seal(node)


async def verified(node: TestDeployment, kept: tuple[int, bytes] | None = None) -> Report:
    return await node.services.auditing.verify(DEFAULT_PROJECT, kept=kept)


async def after(tmp_path: Path, tamper: Tamper) -> Report:
    """Return what a check says after *tamper* had its way with the database."""
    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await note(node)
        await live(node)
        assert (await verified(node)).findings == []
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        tamper(database)
    async with deployed(tmp_path, clock) as node:
        return await verified(node)


def found(report: Report) -> list[tuple[Fault, int | None]]:
    """Return what is wrong with which event or link."""
    return [(each.fault, each.sequence or each.link) for each in report.findings]


async def test_an_untouched_audit_is_sound_and_its_tail_is_told(deployment: TestDeployment) -> None:
    await live(deployment)

    report = await verified(deployment)

    counts = report.counts
    assert (report.findings, counts.findings, counts.links, counts.sealed, counts.unsealed) == (
        [],
        0,
        3,
        22,
        4,
    )
    assert (report.first, report.unsealed_since, report.sealed_at) == (1, NOON, NOON)
    assert report.head is not None
    assert (await verified(deployment, parse_head(report.head))).findings == []


async def test_an_audit_that_was_never_sealed_is_all_tail(deployment: TestDeployment) -> None:
    await deployment.issue()

    report = await verified(deployment)

    assert (report.head, report.findings, report.counts.unsealed) == (None, [], 4)


@pytest.mark.parametrize(
    "change",
    [
        "type = 'session.changed'",
        "at = at + 1",
        "session = zeroblob(16)",
        "subject = 'mallory'",
        "by = 'mallory'",
        'data = \'{"address":"192.0.2.66"}\'',
    ],
)
async def test_a_changed_event_is_named(tmp_path: Path, change: str) -> None:
    report = await after(
        tmp_path,
        lambda database: database.execute(f"UPDATE events SET {change} WHERE sequence = 8"),  # noqa: S608  given above
    )

    [finding] = report.findings
    assert (finding.fault, finding.sequence, finding.link) == (Fault.EVENT_CHANGED, 8, 2)
    assert finding.type in {EventType.SESSION_ISSUED, EventType.SESSION_CHANGED}


async def test_a_removed_event_is_named(tmp_path: Path) -> None:
    report = await after(tmp_path, lambda database: database.execute("DELETE FROM events WHERE sequence = 8"))

    [finding] = report.findings
    assert (finding.fault, finding.sequence, finding.link, finding.at) == (
        Fault.EVENT_REMOVED,
        8,
        2,
        NOON + 2 * LOOKED_EVERY_MS,
    )


async def test_events_that_changed_places_are_named(tmp_path: Path) -> None:
    def swap(database: sqlite3.Connection) -> None:
        rows = database.execute(
            "SELECT type, by, subject, session, partition, data FROM events WHERE sequence IN (4, 6)"
        )
        for row, sequence in zip(list(rows), (6, 4), strict=True):
            database.execute(
                "UPDATE events SET type = ?, by = ?, subject = ?, session = ?, partition = ?, data = ? "
                "WHERE sequence = ?",
                (*row, sequence),
            )

    assert {sequence for _, sequence in found(await after(tmp_path, swap))} == {4, 6}


async def test_an_inserted_event_is_named(tmp_path: Path) -> None:
    def insert(database: sqlite3.Connection) -> None:
        # Beside another partition's event, and before those of the partition that it pretends to be of.
        database.execute(
            "UPDATE events SET sequence = 5, partition = (SELECT partition FROM events WHERE sequence = 9) "
            "WHERE sequence = 26"
        )

    assert found(await after(tmp_path, insert)) == [(Fault.EVENT_INSERTED, 5)]


async def test_what_lies_in_the_past_of_the_sealing_and_is_not_sealed_is_named(tmp_path: Path) -> None:
    def insert(database: sqlite3.Connection) -> None:
        database.execute("UPDATE events SET at = at - 3600000 WHERE sequence = 26")

    assert found(await after(tmp_path, insert)) == [(Fault.EVENT_UNSEALED, 26)]


async def test_a_removed_link_is_named(tmp_path: Path) -> None:
    report = await after(
        tmp_path,
        lambda database: database.execute(
            "DELETE FROM records WHERE kind = 'audit_link' AND id = ?", (b"%016d" % 2,)
        ),
    )

    assert found(report)[0] == (Fault.LINK_REMOVED, 2)


async def test_a_link_that_was_made_to_fit_is_named(tmp_path: Path) -> None:
    def shorten(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM events WHERE sequence = 12")
        [(body,)] = database.execute(
            "SELECT body FROM records WHERE kind = 'audit_link' AND id = ?", (b"%016d" % 2,)
        )
        record = json.loads(body)
        kept = base64.b64decode(record["packed"])[:-50]
        record["packed"] = base64.b64encode(kept).decode()
        database.execute(
            "UPDATE records SET body = ? WHERE kind = 'audit_link' AND id = ?",
            (json.dumps(record), b"%016d" % 2),
        )

    assert (Fault.LINK_CHANGED, 3) in found(await after(tmp_path, shorten))


async def test_a_head_that_was_set_back_is_forged(tmp_path: Path) -> None:
    def set_back(database: sqlite3.Connection) -> None:
        database.execute(
            "UPDATE records SET body = replace(body, '\"number\":3', '\"number\":2') WHERE kind = 'audit_head'"
        )

    assert (Fault.HEAD_FORGED, 2) in found(await after(tmp_path, set_back))


async def test_a_retention_that_nobody_allowed_is_forged(tmp_path: Path) -> None:
    def allow(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM events WHERE sequence = 8")
        database.execute(
            "UPDATE records SET body = replace(body, '\"purged_before\":0', '\"purged_before\":9999999999999') "
            "WHERE kind = 'audit_lease'"
        )

    assert found(await after(tmp_path, allow)) == [(Fault.LEASE_FORGED, None), (Fault.EVENT_REMOVED, 8)]


async def test_without_its_chain_a_sealed_audit_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    def forget(database: sqlite3.Connection) -> None:
        database.execute("DELETE FROM records WHERE kind IN ('audit_head', 'audit_link')")

    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await live(node)
        clock.advance(hours=1)
        await note(node)
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        forget(database)
    async with deployed(tmp_path, clock) as node:
        report = await verified(node)

    assert [each.fault for each in report.findings] == [Fault.EVENT_UNSEALED] * 26


async def test_a_whole_chain_that_was_removed_and_made_anew_shows_in_how_late_it_is(tmp_path: Path) -> None:
    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await note(node)
        await live(node)
        await note(node)
        assert (await verified(node)).counts.late == 0
        clock.advance(hours=1)
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        database.execute("DELETE FROM records WHERE kind IN ('audit_head', 'audit_link', 'audit_lease')")
        database.execute("UPDATE events SET by = 'cli' WHERE sequence = 9")
    async with deployed(tmp_path, clock) as node:
        await note(node)
        report = await verified(node)

    assert (report.findings, report.counts.late, report.counts.sealed) == ([], 26, 26)


async def test_an_end_that_was_cut_off_is_found_by_the_head_that_was_kept(tmp_path: Path) -> None:
    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await live(node)
    former = (tmp_path / "sessiond.db").read_bytes()
    async with deployed(tmp_path, clock) as node:
        clock.advance(milliseconds=LEASE_MS)
        await seal(node)
        kept = (await verified(node)).head
    (tmp_path / "sessiond.db").write_bytes(former)
    for name in ("sessiond.db-wal", "sessiond.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)

    async with deployed(tmp_path, clock) as node:
        assert kept is not None
        assert (await verified(node)).findings == []
        assert found(await verified(node, parse_head(kept))) == [(Fault.HEAD_OTHER, 4)]


async def test_erasing_leaves_the_audit_sound_and_says_how_much_it_rewrote(
    deployment: TestDeployment,
) -> None:
    await live(deployment)
    before = await verified(deployment)

    await deployment.services.erasing.erase(DEFAULT_PROJECT, SubjectId("user-3"), by=BY)
    await deployment.services.erasing.erase(DEFAULT_PROJECT, SubjectId("user-11"), by=BY)  # not sealed yet
    await seal(deployment)

    report = await verified(deployment)
    assert (before.counts.rewritten, report.counts.rewritten, report.findings) == (0, 2, [])
    assert report.counts.unsealed == 0


async def test_erasing_does_not_wash_what_was_tampered_with(tmp_path: Path) -> None:
    clock = SetClock()
    async with deployed(tmp_path, clock) as node:
        await live(node)
    with contextlib.closing(sqlite3.connect(tmp_path / "sessiond.db")) as database, database:
        database.execute("UPDATE events SET at = at - 1 WHERE sequence = 10")
    async with deployed(tmp_path, clock) as node:
        await node.services.erasing.erase(DEFAULT_PROJECT, SubjectId("user-3"), by=BY)
        report = await verified(node)

    assert (Fault.EVENT_CHANGED, 10) in found(report)


async def test_retention_leaves_a_signed_beginning_from_which_the_rest_is_checked(
    deployment: TestDeployment,
) -> None:
    services, clock = deployment.services, deployment.clock
    first = None
    for day in range(12):
        await deployment.issue(SubjectId(f"user-{day}"))
        await seal(deployment)
        first = first or (await verified(deployment)).head
        clock.advance(days=1)
        await seal(deployment)
    rules = PurgeRules(events=timedelta(days=5))
    await seal(deployment)

    while await purge_bite(services.store, services.sealer, rules, clock.now(), limit=500):
        pass
    purged = await verified(deployment)
    for n in range(3):
        clock.advance(seconds=6)
        await deployment.issue(SubjectId(f"late-{n}"))
        await seal(deployment)
    later_on = await verified(deployment)

    assert purged.findings == later_on.findings == []
    assert purged.counts.purged > 0
    assert later_on.first is not None
    assert later_on.first > 5
    assert first is not None
    assert found(await verified(deployment, parse_head(first))) == [(Fault.HEAD_OTHER, 1)]


async def test_what_is_not_sealed_is_not_purged(deployment: TestDeployment) -> None:
    services = deployment.services
    await deployment.issue()
    deployment.clock.advance(days=100)

    await purge_bite(services.store, services.sealer, PurgeRules(), deployment.clock.now(), limit=500)

    assert len(await services.store.events(after=0, limit=9)) == 4


async def test_what_came_after_the_sealing_stopped_is_not_purged_however_old(
    deployment: TestDeployment,
) -> None:
    services = deployment.services
    await note(deployment)
    await deployment.issue()
    deployment.clock.advance(days=100)

    await purge_bite(services.store, services.sealer, PurgeRules(), deployment.clock.now(), limit=500)

    left = [event.type for _, event in await services.store.events(after=0, limit=9)]
    assert left[-2:] == [EventType.SUBJECT_CREATED, EventType.SESSION_ISSUED]


async def test_purging_more_than_was_allowed_is_found(deployment: TestDeployment) -> None:
    await live(deployment)
    deployment.clock.advance(days=100)
    await seal(deployment)

    await deployment.services.store.purge_events(before=NOON + 1, limit=3)

    assert found(await verified(deployment)) == [(Fault.EVENT_REMOVED, n) for n in (1, 2, 3)]


async def test_events_are_listed_by_subject_type_and_time(deployment: TestDeployment) -> None:
    for n in range(3):
        await deployment.issue(SubjectId(f"user-{n}"))
        deployment.clock.advance(hours=1)
    auditing = deployment.services.auditing

    async def listed(**wanted: object) -> list[tuple[str | None, EventType]]:
        page = await auditing.page(DEFAULT_PROJECT, EventFilter(**wanted), limit=99)  # type: ignore[arg-type]
        assert page.following is None
        return [(event.subject, event.type) for _, event in page.events]

    assert await listed(subject=SubjectId("user-1")) == [
        ("user-1", EventType.SUBJECT_CREATED),
        ("user-1", EventType.SESSION_ISSUED),
    ]
    assert await listed(type=EventType.SESSION_ISSUED) == [
        (f"user-{n}", EventType.SESSION_ISSUED) for n in range(3)
    ]
    hour = timedelta(hours=1)
    assert await listed(
        happened=Span(later(NOON, hour), later(NOON, 2 * hour)), type=EventType.SESSION_ISSUED
    ) == [("user-1", EventType.SESSION_ISSUED)]


async def test_pages_of_events_follow_each_other(deployment: TestDeployment) -> None:
    for n in range(5):
        await deployment.issue(SubjectId(f"user-{n}"))
    found_so_far, after_sequence = [], 0
    while True:
        page = await deployment.services.auditing.page(
            DEFAULT_PROJECT, EventFilter(), limit=5, after=after_sequence
        )
        found_so_far += [sequence for sequence, _ in page.events]
        if page.following is None:
            break
        after_sequence = page.following

    assert found_so_far == list(range(1, 13))


async def test_another_projects_events_are_not_in_a_check(deployment: TestDeployment) -> None:
    other = await deployment.services.projects.add("other", by=BY)
    await seal(deployment)

    report = await deployment.services.auditing.verify(other.id)

    partition = chain_partition(deployment.services.keys, other.id)
    assert await deployment.services.store.get(link_key(other.id, partition, 1)) is not None
    assert (report.counts.sealed, report.findings) == (1, [])
