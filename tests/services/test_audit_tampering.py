"""Whoever writes to the database cannot change the past unseen: a check names what was changed, and where."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from sessiond.domain.audit_chain import LEASE_MS, parse_head
from sessiond.domain.audit_check import Fault
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.services.audit_sealing import LOOKED_EVERY_MS
from tests.deployment import BY, NOON, SetClock, TestDeployment
from tests.services.audited import after, deployed, found, live, note, verified
from tests.services.sealing import seal_all


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
        await seal_all(node)
        kept = (await verified(node)).head
    (tmp_path / "sessiond.db").write_bytes(former)
    for name in ("sessiond.db-wal", "sessiond.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)

    async with deployed(tmp_path, clock) as node:
        assert kept is not None
        assert (await verified(node)).findings == []
        assert found(await verified(node, parse_head(kept))) == [(Fault.HEAD_OTHER, 4)]


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


async def test_purging_more_than_was_allowed_is_found(deployment: TestDeployment) -> None:
    await live(deployment)
    deployment.clock.advance(days=100)
    await seal_all(deployment)

    await deployment.services.store.purge_events(before=NOON + 1, limit=3)

    assert found(await verified(deployment)) == [(Fault.EVENT_REMOVED, n) for n in (1, 2, 3)]
