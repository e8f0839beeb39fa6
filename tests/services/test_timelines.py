"""Timelines: whatever ended a session, its story says so, also when its row is gone."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.callers import OperatorCaller
from sessiond.domain.endings import Ending
from sessiond.domain.errors import NotFound, Unauthenticated
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, SessionId, SubjectId, mint_id
from sessiond.domain.initiators import Initiator
from sessiond.domain.policies import Policy, Preset
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session
from sessiond.services.bundle import Services
from sessiond.services.ports import Change
from sessiond.services.timelines import Mark, Timeline
from sessiond.services.token_forms import Form
from tests.deployment import ALICE, BY, TestDeployment

BORN = [EventType.SUBJECT_CREATED, EventType.SESSION_ISSUED]


async def told(
    deployment: TestDeployment, session: Session, *, limit: int = 100, after: Mark | None = None
) -> Timeline:
    caller = OperatorCaller(project=session.project)
    return await deployment.services.timelines.page(caller, session.id, limit=limit, after=after)


def story(timeline: Timeline) -> list[EventType]:
    return [event.type for event in timeline.events]


def ended(timeline: Timeline) -> tuple[Ending, str | None, str | None]:
    assert timeline.ended is not None
    return timeline.ended.why, timeline.ended.reason, timeline.by


async def purged(deployment: TestDeployment) -> None:
    """Remove every session that has ended, as a purge does in the end."""
    deployment.clock.advance(days=40)
    now = deployment.clock.now()
    await deployment.services.store.purge(ended_before=now, due_before=now, limit=100)


async def test_a_living_session_has_a_story_and_no_end(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    await deployment.services.changing.rename(session, "phone", by=Initiator("server_key:app"))

    timeline = await told(deployment, session)

    assert story(timeline) == [*BORN, EventType.SESSION_CHANGED]
    assert (timeline.ended, timeline.by, timeline.following) == (None, None, None)


async def test_it_says_who_revoked_a_session_and_why(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=5)
    await deployment.services.sessions.revoke(session, reason="lost phone", by=Initiator("operator"))

    timeline = await told(deployment, session)

    assert story(timeline) == [*BORN, EventType.SESSION_REVOKED]
    assert ended(timeline) == (Ending.REVOKED, "lost phone", "operator")
    assert timeline.ended is not None
    assert timeline.ended.at == deployment.clock.now()


async def test_it_says_that_all_sessions_of_the_subject_were_ended(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=5)
    await deployment.services.subjects.revoke_sessions(
        DEFAULT_PROJECT, ALICE, reason="password changed", by=Initiator("server_key:app")
    )

    timeline = await told(deployment, session)

    assert story(timeline)[-1] is EventType.SUBJECT_SESSIONS_REVOKED
    assert ended(timeline) == (Ending.SUBJECT_EPOCH, "password changed", "server_key:app")


@pytest.mark.parametrize(
    "end",
    [
        lambda services: services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY),
        lambda services: services.subjects.disable(DEFAULT_PROJECT, ALICE, by=BY),
        lambda services: services.projects.revoke_sessions(DEFAULT_PROJECT, by=BY),
    ],
    ids=["the subject's ended", "the subject disabled", "the project's ended"],
)
async def test_who_ended_it_is_told_also_where_time_goes_on_meanwhile(
    deployment: TestDeployment, end: Callable[[Services], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await deployment.issue()
    ticks = itertools.count(deployment.clock.now() + 1)
    monkeypatch.setattr(deployment.clock, "now", lambda: next(ticks))
    await end(deployment.services)

    timeline = await told(deployment, session)

    assert timeline.by == "test"


async def test_of_two_ends_the_first_is_told_though_the_subject_remembers_the_second(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    for reason in ("first", "second"):
        deployment.clock.advance(minutes=5)
        await deployment.services.subjects.revoke_sessions(
            DEFAULT_PROJECT, ALICE, reason=reason, by=Initiator(reason)
        )

    assert ended(await told(deployment, session)) == (Ending.SUBJECT_EPOCH, "first", "first")


async def test_ends_before_its_birth_are_not_its_own(deployment: TestDeployment) -> None:
    await deployment.issue()
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)
    await deployment.services.projects.revoke_sessions(DEFAULT_PROJECT, by=BY)
    deployment.clock.advance(minutes=5)

    timeline = await told(deployment, await deployment.issue())

    assert story(timeline) == [EventType.SESSION_ISSUED]


async def test_the_session_that_ended_all_others_lives_on(deployment: TestDeployment) -> None:
    kept, other = await deployment.issue(), await deployment.issue()
    deployment.clock.advance(minutes=1)
    await deployment.services.own_sessions.end_others(kept, by=Initiator("subject:alice"))

    assert (await told(deployment, kept)).ended is None
    assert ended(await told(deployment, other))[0] is Ending.SUBJECT_EPOCH
    await purged(deployment)
    assert (await told(deployment, kept)).ended is None


async def test_it_says_that_all_sessions_of_the_project_were_ended_in_its_place_in_time(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=5)
    await deployment.services.projects.revoke_sessions(DEFAULT_PROJECT, by=Initiator("operator"))
    deployment.clock.advance(minutes=5)
    await deployment.services.subjects.disable(DEFAULT_PROJECT, ALICE, by=Initiator("operator"))

    timeline = await told(deployment, session)

    assert story(timeline) == [*BORN, EventType.PROJECT_SESSIONS_REVOKED, EventType.SUBJECT_DISABLED]
    assert ended(timeline)[0::2] == (Ending.PROJECT_EPOCH, "operator")


async def test_another_project_s_end_is_not_told(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    other = await deployment.services.projects.add("other", by=BY)
    await deployment.services.projects.revoke_sessions(other.id, by=BY)

    assert story(await told(deployment, session)) == BORN


async def test_time_ends_a_session_by_nobody_s_doing() -> None:
    policy = Policy(
        preset=Preset.AAL2, absolute_timeout=timedelta(hours=12), idle_timeout=timedelta(minutes=30)
    )
    deployment = await TestDeployment.born(Rules(policy=policy))
    session = await deployment.issue()
    deployment.clock.advance(minutes=31)

    timeline = await told(deployment, session)

    assert ended(timeline) == (Ending.IDLE_TIMEOUT, None, None)
    assert timeline.ended is not None
    assert timeline.ended.at == session.created_at + 30 * 60_000


async def test_a_reused_refresh_token_is_told_as_what_ended_the_session(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    services, oldest = deployment.services, deployment.refresh_token(session)
    successor = (await services.sessions.refresh(oldest, Form.REFRESH)).session
    await services.sessions.refresh(deployment.refresh_token(successor), Form.REFRESH)
    with pytest.raises(Unauthenticated):
        await services.sessions.refresh(oldest, Form.REFRESH)

    timeline = await told(deployment, session)

    assert story(timeline)[-1] is EventType.REFRESH_REUSED
    assert ended(timeline) == (Ending.REVOKED, "reuse_detected", "sessiond")


End = Callable[[Services, Session], Awaitable[object]]

ENDS: dict[Ending, End] = {
    Ending.REVOKED: lambda it, session: it.sessions.revoke(session, reason="lost", by=Initiator("operator")),
    Ending.SUBJECT_EPOCH: lambda it, _: it.subjects.revoke_sessions(
        DEFAULT_PROJECT, ALICE, by=Initiator("operator")
    ),
    Ending.SUBJECT_DISABLED: lambda it, _: it.subjects.disable(
        DEFAULT_PROJECT, ALICE, by=Initiator("operator")
    ),
    Ending.SUBJECT_GONE: lambda it, _: it.subjects.delete(DEFAULT_PROJECT, ALICE, by=Initiator("operator")),
    Ending.PROJECT_EPOCH: lambda it, _: it.projects.revoke_sessions(
        DEFAULT_PROJECT, by=Initiator("operator")
    ),
}


@pytest.mark.parametrize("why", ENDS)
async def test_once_the_row_is_purged_the_events_tell(deployment: TestDeployment, why: Ending) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=5)
    await ENDS[why](deployment.services, session)
    await purged(deployment)

    timeline = await told(deployment, session)

    assert timeline.standing is None
    assert ended(timeline)[0::2] == (why, "operator")


async def pages_of(deployment: TestDeployment, session: Session, *, limit: int) -> list[Timeline]:
    pages, after = [], None
    while True:
        pages.append(await told(deployment, session, limit=limit, after=after))
        after = pages[-1].following
        if after is None:
            return pages


async def ended_thrice(deployment: TestDeployment) -> Session:
    """Return a session that was renamed, ended with all of its project's, and then by its subject, again and again."""
    session, services = await deployment.issue(), deployment.services
    for number in range(3):
        deployment.clock.advance(minutes=1)
        await services.changing.rename(session, f"name {number}", by=BY)
        await deployment.issue(SubjectId(f"somebody {number}"))
    deployment.clock.advance(minutes=1)
    await services.projects.revoke_sessions(DEFAULT_PROJECT, by=Initiator("first"))
    for by in (Initiator("second"), Initiator("third")):
        deployment.clock.advance(minutes=1)
        await services.subjects.disable(DEFAULT_PROJECT, ALICE, by=by)
        await services.subjects.enable(DEFAULT_PROJECT, ALICE, by=by)
    return session


@pytest.mark.parametrize("gone", [False, True])
async def test_pages_have_everything_once_and_in_order_row_or_no_row(
    deployment: TestDeployment, *, gone: bool
) -> None:
    session = await ended_thrice(deployment)
    if gone:
        await purged(deployment)

    whole = story(await told(deployment, session))
    pages = await pages_of(deployment, session, limit=2)

    assert len(whole) == 10
    assert [what for page in pages for what in story(page)] == whole


async def test_of_many_pages_one_tells_who_ended_the_session(deployment: TestDeployment) -> None:
    session = await ended_thrice(deployment)

    live = [page.by for page in await pages_of(deployment, session, limit=2)]
    await purged(deployment)
    gone = [(page.ended is not None, page.by) for page in await pages_of(deployment, session, limit=2)]

    assert [by for by in live if by] == ["first"]
    assert [told for told in gone if told != (False, None)] == [(True, "first")]


async def test_the_one_who_disabled_the_subject_ended_the_session_though_it_was_enabled_since(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    deployment.clock.advance(minutes=1)
    await deployment.services.subjects.disable(DEFAULT_PROJECT, ALICE, by=Initiator("operator"))
    deployment.clock.advance(minutes=1)
    await deployment.services.subjects.enable(DEFAULT_PROJECT, ALICE, by=Initiator("somebody else"))

    assert ended(await told(deployment, session))[0::2] == (Ending.SUBJECT_EPOCH, "operator")


async def test_what_happened_long_before_is_not_read_through(deployment: TestDeployment) -> None:
    store, now = deployment.services.store, deployment.clock.now()
    first = await deployment.issue()
    partition = first.key.partition
    for crowd in (partition, CONTROL_PARTITION):
        noise = Event(type=EventType.VAULT_READ, at=now, partition=crowd, project=DEFAULT_PROJECT)
        for _ in range(30):
            await store.apply(Change(partition=crowd, expects={}, events=[noise] * 500))
    deployment.clock.advance(hours=1)
    session = await deployment.issue()
    deployment.clock.advance(hours=1)
    await deployment.services.projects.revoke_sessions(DEFAULT_PROJECT, by=Initiator("operator"))

    timeline = await told(deployment, session)

    assert timeline.following is None
    assert story(timeline) == [EventType.SESSION_ISSUED, EventType.PROJECT_SESSIONS_REVOKED]
    assert (await told(deployment, first)).following is not None  # its own time is as full as it is


async def test_what_nobody_knows_has_no_story_nor_has_another_project_s(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    other = await deployment.services.projects.add("other", by=BY)
    unknown = mint_id(now=deployment.clock.now(), partition=Partition(7), entropy=bytes(8))

    for project, identifier in ((DEFAULT_PROJECT, unknown), (other.id, session.id)):
        with pytest.raises(NotFound):
            await deployment.services.timelines.page(
                OperatorCaller(project=project), SessionId(identifier), limit=10
            )


async def test_what_is_told_holds_no_token(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    texts = (deployment.access_token(session), deployment.refresh_token(session), session.nonce.hex())

    timeline = await told(deployment, session)

    shown = msgspec.json.encode(timeline.events).decode()
    assert not any(text in shown for text in texts)
