"""Sessions as their holders meet them: verified, refreshed, ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sessiond.domain.errors import Forbidden, NotFound, StateConflict, Unauthenticated, Unavailable
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Client, Session
from sessiond.services.token_forms import Form
from sessiond.services.verifying import ALARMS_AT_ONCE
from tests.deployment import ALICE, BY, TestDeployment


async def refused(deployment: TestDeployment, text: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await deployment.services.sessions.verify(text)
    return refusal.value.code


async def refresh(deployment: TestDeployment, text: str) -> Session:
    return (await deployment.services.sessions.refresh(text, Form.REFRESH)).session


async def happened(deployment: TestDeployment, what: EventType) -> int:
    return sum(event.type is what for _, event in await deployment.services.store.events(after=0, limit=1000))


async def test_an_access_token_proves_its_session(deployment: TestDeployment) -> None:
    session = await deployment.issue()

    verified = await deployment.services.sessions.verify(deployment.access_token(session))

    assert verified.session.id == session.id
    assert verified.session.subject == ALICE


async def test_peeking_answers_as_verifying_does(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)

    peeked = deployment.services.sessions.peek(token)
    await deployment.services.sessions.revoke(session, reason="revoked", by=BY)

    assert peeked is not None
    assert peeked.session.id == session.id
    assert deployment.services.sessions.peek(token) is None


async def test_an_access_token_expires_after_its_lifetime(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())

    deployment.clock.advance(minutes=10)

    assert await refused(deployment, token) == "token_expired"


async def test_a_revoked_session_is_refused_with_the_first_reason(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)

    await deployment.services.sessions.revoke(session, reason="lost laptop", by=BY)
    await deployment.services.sessions.revoke(session, reason="another", by=BY)

    with pytest.raises(Unauthenticated) as refusal:
        await deployment.services.sessions.verify(token)
    assert refusal.value.code == "session_revoked"
    assert refusal.value.data["reason"] == "lost laptop"
    assert await happened(deployment, EventType.SESSION_REVOKED) == 1


async def test_a_refresh_token_is_no_access_token(deployment: TestDeployment) -> None:
    token = deployment.refresh_token(await deployment.issue())

    assert await refused(deployment, token) == "wrong_token_kind"


async def test_a_rotation_mints_the_next_generation(deployment: TestDeployment) -> None:
    session = await deployment.issue()

    successor = await refresh(deployment, deployment.refresh_token(session))

    assert successor.generation == 1
    assert deployment.refresh_token(successor) != deployment.refresh_token(session)


async def test_a_retry_within_the_grace_gets_the_same_refresh_token_byte_for_byte(
    deployment: TestDeployment,
) -> None:
    first = deployment.refresh_token(await deployment.issue())
    answer = deployment.refresh_token(await refresh(deployment, first))

    deployment.clock.advance(seconds=25)

    assert deployment.refresh_token(await refresh(deployment, first)) == answer
    assert deployment.observer["refresh_twin"] == 1


async def test_a_retry_within_the_overlap_is_answered_even_when_the_successor_was_used(
    deployment: TestDeployment,
) -> None:
    first = deployment.refresh_token(await deployment.issue())
    successor = await refresh(deployment, first)
    await deployment.services.sessions.verify(deployment.access_token(successor))
    await deployment.services.touches.flush()

    deployment.clock.advance(seconds=9)

    assert (await refresh(deployment, first)).generation == 1


async def test_a_reused_refresh_token_ends_the_session(deployment: TestDeployment) -> None:
    first = deployment.refresh_token(await deployment.issue())
    successor = await refresh(deployment, first)
    await deployment.services.sessions.verify(deployment.access_token(successor))
    await deployment.services.touches.flush()
    deployment.clock.advance(seconds=20)

    with pytest.raises(Unauthenticated):
        await refresh(deployment, first)

    assert await refused(deployment, deployment.access_token(successor)) == "session_revoked"
    assert await happened(deployment, EventType.REFRESH_REUSED) == 1


async def test_a_lost_rotation_ends_the_session_without_an_alarm(deployment: TestDeployment) -> None:
    first = deployment.refresh_token(await deployment.issue())
    await refresh(deployment, first)
    deployment.clock.advance(seconds=31)

    with pytest.raises(Unauthenticated) as refusal:
        await refresh(deployment, first)

    assert refusal.value.code == "refresh_token_superseded"
    assert await happened(deployment, EventType.REFRESH_REUSED) == 0
    assert await happened(deployment, EventType.ROTATION_LOST) == 1


async def test_the_grandparent_ends_the_session_at_once(deployment: TestDeployment) -> None:
    first = deployment.refresh_token(await deployment.issue())
    second = deployment.refresh_token(await refresh(deployment, first))
    await refresh(deployment, second)

    with pytest.raises(Unauthenticated):
        await refresh(deployment, first)

    assert await happened(deployment, EventType.REFRESH_REUSED) == 1


async def test_parallel_refreshes_leave_one_lineage(deployment: TestDeployment) -> None:
    first = deployment.refresh_token(await deployment.issue())

    answers = await asyncio.gather(*(refresh(deployment, first) for _ in range(64)))

    assert {deployment.refresh_token(session) for session in answers} == {
        deployment.refresh_token(answers[0])
    }
    assert {session.generation for session in answers} == {1}


async def test_the_previous_access_token_is_tolerated_for_the_grace_only(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    await refresh(deployment, deployment.refresh_token(session))

    deployment.clock.advance(seconds=29)
    await deployment.services.sessions.verify(token)
    deployment.clock.advance(seconds=1)

    assert await refused(deployment, token) == "token_superseded"


async def test_a_session_that_does_not_rotate_keeps_its_refresh_token(deployment: TestDeployment) -> None:
    session = await deployment.issue(rotates=False)
    token = deployment.refresh_token(session)

    for _ in range(5):
        assert (await refresh(deployment, token)).generation == 0


async def test_a_clock_that_went_back_ends_nothing(deployment: TestDeployment) -> None:
    first = deployment.refresh_token(await deployment.issue())
    successor = await refresh(deployment, first)
    deployment.clock.step(seconds=-6)

    with pytest.raises(Unavailable) as refusal:
        await refresh(deployment, first)

    assert refusal.value.code == "clock_unsound"
    deployment.clock.step(seconds=6)
    await deployment.services.sessions.verify(deployment.access_token(successor))


async def test_a_clock_that_jumped_forward_ends_no_session_whose_answer_was_lost(
    deployment: TestDeployment,
) -> None:
    first = deployment.refresh_token(await deployment.issue())
    successor = await refresh(deployment, first)
    deployment.clock.step(seconds=40)

    with pytest.raises(Unavailable) as refusal:
        await refresh(deployment, first)

    assert refusal.value.code == "clock_unsound"
    assert (await refresh(deployment, deployment.refresh_token(successor))).generation == 2


async def test_however_often_a_token_newer_than_its_row_comes_few_events_are_written(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session.rotated(now=deployment.clock.now(), kid=session.kid))

    for _ in range(ALARMS_AT_ONCE + 20):
        assert await refused(deployment, token) == "store_rollback"
    at_once = await happened(deployment, EventType.STORE_ROLLBACK)
    deployment.clock.advance(seconds=2)
    assert await refused(deployment, token) == "store_rollback"

    assert at_once == ALARMS_AT_ONCE
    assert await happened(deployment, EventType.STORE_ROLLBACK) == at_once + 1


async def test_a_token_newer_than_its_row_raises_the_alarm_and_ends_nothing(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    ahead = session.rotated(now=deployment.clock.now(), kid=session.kid)

    assert await refused(deployment, deployment.access_token(ahead)) == "store_rollback"
    with pytest.raises(Unauthenticated) as refusal:
        await refresh(deployment, deployment.refresh_token(ahead))

    assert refusal.value.code == "store_rollback"
    assert await happened(deployment, EventType.STORE_ROLLBACK) == 2
    await deployment.services.sessions.verify(deployment.access_token(session))


async def test_ending_a_subjects_sessions_ends_them_all_at_once(deployment: TestDeployment) -> None:
    tokens = [deployment.access_token(await deployment.issue()) for _ in range(3)]
    other = deployment.access_token(await deployment.issue(SubjectId("bob")))

    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)

    assert {await refused(deployment, token) for token in tokens} == {"subject_sessions_revoked"}
    await deployment.services.sessions.verify(other)
    assert not await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)


async def test_ending_a_projects_sessions_is_seen_by_the_next_verify(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())

    await deployment.services.projects.revoke_sessions(DEFAULT_PROJECT, by=BY)

    assert await refused(deployment, token) == "project_sessions_revoked"


async def test_a_disabled_subject_has_no_sessions_and_gets_none(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())

    await deployment.services.subjects.disable(DEFAULT_PROJECT, ALICE, by=BY)

    assert await refused(deployment, token) == "subject_disabled"
    with pytest.raises(Forbidden):
        await deployment.issue()
    await deployment.services.subjects.enable(DEFAULT_PROJECT, ALICE, by=BY)
    assert await refused(deployment, token) == "subject_sessions_revoked"


async def test_a_deleted_and_recreated_subject_revives_nothing(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())

    await deployment.services.subjects.delete(DEFAULT_PROJECT, ALICE, by=BY)
    assert await refused(deployment, token) == "subject_gone"
    await deployment.issue()

    assert await refused(deployment, token) == "subject_sessions_revoked"


async def test_the_absolute_limit_holds_whatever_is_refreshed() -> None:
    rules = Rules(policy=Policy(absolute_timeout=timedelta(minutes=15)))
    deployment = await TestDeployment.born(rules)
    session = await deployment.issue()
    deployment.clock.advance(minutes=14)
    session = await refresh(deployment, deployment.refresh_token(session))
    token = deployment.access_token(session)

    deployment.clock.advance(minutes=1)

    assert await refused(deployment, token) == "token_expired"
    with pytest.raises(Unauthenticated):
        await refresh(deployment, deployment.refresh_token(session))


async def test_the_idle_limit_ends_what_is_not_used_and_spares_what_is() -> None:
    rules = Rules(policy=Policy(idle_timeout=timedelta(minutes=5)))
    deployment = await TestDeployment.born(rules)
    used, unused = await deployment.issue(), await deployment.issue()
    used_token, unused_token = deployment.access_token(used), deployment.access_token(unused)

    for _ in range(2):
        deployment.clock.advance(minutes=3)
        await deployment.services.sessions.verify(used_token)
        await deployment.services.touches.flush()

    assert await refused(deployment, unused_token) == "session_idle"


@pytest.mark.parametrize("on_limit", [OnLimit.EVICT_OLDEST, OnLimit.EVICT_IDLE])
async def test_a_session_over_the_limit_evicts_another(on_limit: OnLimit) -> None:
    deployment = await TestDeployment.born(Rules(policy=Policy(max_sessions=2, on_limit=on_limit)))
    first = await deployment.issue()
    deployment.clock.advance(minutes=2)
    second = await deployment.issue()
    deployment.clock.advance(minutes=2)
    await deployment.services.sessions.verify(deployment.access_token(first))
    await deployment.services.touches.flush()

    await deployment.issue()

    evicted = first if on_limit is OnLimit.EVICT_OLDEST else second
    assert await refused(deployment, deployment.access_token(evicted)) == "session_revoked"
    assert len(await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)) == 2


async def test_a_policy_that_denies_keeps_the_sessions_there_are() -> None:
    deployment = await TestDeployment.born(Rules(policy=Policy(max_sessions=1, on_limit=OnLimit.DENY)))
    token = deployment.access_token(await deployment.issue())

    with pytest.raises(StateConflict) as refusal:
        await deployment.issue()

    assert refusal.value.code == "session_limit_reached"
    await deployment.services.sessions.verify(token)


async def test_the_limit_holds_under_64_creates_at_once() -> None:
    deployment = await TestDeployment.born(Rules(policy=Policy(max_sessions=3)))

    await asyncio.gather(*(deployment.issue() for _ in range(64)))

    assert len(await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)) == 3


async def test_another_projects_session_is_unknown(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    other = await deployment.services.projects.add("other", by=BY)

    with pytest.raises(NotFound) as refusal:
        await deployment.services.sessions.get(other.id, session.id)

    assert refusal.value.code == "session_unknown"


async def test_a_recovery_ends_every_session(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())
    services = deployment.services

    await services.recovery.recover(by=BY, reason="restored")

    assert await refused(deployment, token) == "deployment_recovered"


async def test_nobody_but_the_operator_gets_a_session_of_the_operators(deployment: TestDeployment) -> None:
    with pytest.raises(Forbidden) as refusal:
        await deployment.issue(SubjectId("operator"))

    assert refusal.value.code == "subject_reserved"
    await deployment.services.operators.open_session(Client())
