"""The audit as it is meant to be: sound, erased from, purged and listed."""

from __future__ import annotations

from datetime import timedelta

from sessiond.bootstrap.background import purge_bite
from sessiond.domain.audit_chain import link_key, parse_head
from sessiond.domain.audit_check import Fault
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.instants import later
from sessiond.domain.rules import PurgeRules
from sessiond.domain.session_filters import Span
from sessiond.services.audit_chains import chain_partition
from tests.deployment import BY, NOON, TestDeployment
from tests.services.audited import found, live, note, verified
from tests.services.sealing import seal_all


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


async def test_erasing_leaves_the_audit_sound_and_says_how_much_it_rewrote(
    deployment: TestDeployment,
) -> None:
    await live(deployment)
    before = await verified(deployment)

    await deployment.services.erasing.erase(DEFAULT_PROJECT, SubjectId("user-3"), by=BY)
    await deployment.services.erasing.erase(DEFAULT_PROJECT, SubjectId("user-11"), by=BY)  # not sealed yet
    await seal_all(deployment)

    report = await verified(deployment)
    assert (before.counts.rewritten, report.counts.rewritten, report.findings) == (0, 2, [])
    assert report.counts.unsealed == 0


async def test_retention_leaves_a_signed_beginning_from_which_the_rest_is_checked(
    deployment: TestDeployment,
) -> None:
    services, clock = deployment.services, deployment.clock
    first = None
    for day in range(12):
        await deployment.issue(SubjectId(f"user-{day}"))
        await seal_all(deployment)
        first = first or (await verified(deployment)).head
        clock.advance(days=1)
        await seal_all(deployment)
    rules = PurgeRules(events=timedelta(days=5))
    await seal_all(deployment)

    while await purge_bite(services.store, services.sealer, rules, clock.now(), limit=500):
        pass
    purged = await verified(deployment)
    for n in range(3):
        clock.advance(seconds=6)
        await deployment.issue(SubjectId(f"late-{n}"))
        await seal_all(deployment)
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
    await seal_all(deployment)

    report = await deployment.services.auditing.verify(other.id)

    partition = chain_partition(deployment.services.keys, other.id)
    assert await deployment.services.store.get(link_key(other.id, partition, 1)) is not None
    assert (report.counts.sealed, report.findings) == (1, [])
