"""A subject's own sessions: ended together but for one, and never another subject's."""

from __future__ import annotations

import asyncio

import pytest

from sessiond.domain.errors import NotFound, Refusal, StateConflict, Unauthenticated
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SubjectId
from sessiond.domain.sessions import Session
from sessiond.services.token_forms import Form
from tests.deployment import ALICE, BY, TestDeployment


async def lives(deployment: TestDeployment, session: Session) -> bool:
    try:
        await deployment.services.sessions.verify(deployment.access_token(session))
    except Unauthenticated:
        return False
    return True


async def test_the_holder_outlives_the_end_of_all_others(deployment: TestDeployment) -> None:
    holder, other = await deployment.issue(), await deployment.issue()

    await deployment.services.own_sessions.end_others(holder, by=BY)

    assert (await lives(deployment, holder), await lives(deployment, other)) == (True, False)
    refreshed = await deployment.services.sessions.refresh(deployment.refresh_token(holder), Form.REFRESH)
    assert refreshed.session.generation == 1
    events = [event for _, event in await deployment.services.store.events(after=0, limit=100)]
    assert [event.type for event in events].count(EventType.SUBJECT_SESSIONS_REVOKED) == 1


async def test_of_two_that_end_all_others_at_once_one_is_left(deployment: TestDeployment) -> None:
    sessions = [await deployment.issue() for _ in range(8)]

    async def end_others(holder: Session) -> bool:
        try:
            await deployment.services.own_sessions.end_others(holder, by=BY)
        except Unauthenticated:
            return False
        return True

    await asyncio.gather(*map(end_others, sessions))

    assert [await lives(deployment, session) for session in sessions].count(True) == 1


async def test_an_ended_holder_ends_nothing(deployment: TestDeployment) -> None:
    holder, other = await deployment.issue(), await deployment.issue()
    await deployment.services.sessions.revoke(holder, reason="revoked", by=BY)

    with pytest.raises(Unauthenticated) as refusal:
        await deployment.services.own_sessions.end_others(holder, by=BY)

    assert refusal.value.code == "session_revoked"
    assert await lives(deployment, other)


async def test_another_subjects_session_is_unknown(deployment: TestDeployment) -> None:
    holder, foreign = await deployment.issue(), await deployment.issue(SubjectId("mallory"))
    own = deployment.services.own_sessions
    refusals: list[Refusal] = []

    for ask in (
        own.get(holder, foreign.id),
        own.end(holder, foreign.id, reason="revoked", by=BY),
        own.rename(holder, foreign.id, "x", by=BY),
    ):
        with pytest.raises(NotFound) as refusal:
            await ask
        refusals.append(refusal.value)

    assert {refusal.code for refusal in refusals} == {"session_unknown"}
    assert await lives(deployment, foreign)


async def test_a_name_does_not_get_in_the_way_of_a_refresh(deployment: TestDeployment) -> None:
    holder = await deployment.issue()
    token = deployment.refresh_token(holder)

    named, refreshed = await asyncio.gather(
        deployment.services.own_sessions.rename(holder, holder.id, "laptop", by=BY),
        deployment.services.sessions.refresh(token, Form.REFRESH),
    )

    now = (await deployment.services.sessions.get(DEFAULT_PROJECT, holder.id)).session
    assert named.session.client.name == now.client.name == "laptop"
    assert refreshed.session.generation == now.generation == 1


async def test_the_same_name_again_writes_nothing(deployment: TestDeployment) -> None:
    holder = await deployment.issue(ALICE)
    own = deployment.services.own_sessions
    first = await own.rename(holder, holder.id, "laptop", by=BY)

    again = await own.rename(holder, holder.id, "laptop", by=BY)

    assert again.session.version == first.session.version == holder.version + 1


async def test_an_ended_session_is_not_renamed(deployment: TestDeployment) -> None:
    holder, other = await deployment.issue(), await deployment.issue()
    await deployment.services.sessions.revoke(other, reason="revoked", by=BY)

    with pytest.raises(StateConflict):
        await deployment.services.own_sessions.rename(holder, other.id, "x", by=BY)
