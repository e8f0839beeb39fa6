"""Introspecting, and ending the session of a token that is presented, as time goes by."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.policies import Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.services.introspecting import Introspected
from sessiond.services.token_forms import Form
from tests.deployment import BY, TestDeployment

IDLE = Rules(policy=Policy(idle_timeout=timedelta(minutes=5), access_token_lifetime=timedelta(hours=1)))


async def introspected(deployment: TestDeployment, text: str) -> Introspected | None:
    return await deployment.services.introspecting.introspect(text, DEFAULT_PROJECT)


async def rotated(deployment: TestDeployment, session: Session) -> Session:
    refreshed = await deployment.services.sessions.refresh(deployment.refresh_token(session), Form.REFRESH)
    return refreshed.session


async def ended(deployment: TestDeployment) -> int:
    events = await deployment.services.store.events(after=0, limit=1000)
    return sum(event.type is EventType.SESSION_REVOKED for _, event in events)


async def as_jwt(deployment: TestDeployment, session: Session) -> str:
    shaped = msgspec.structs.replace(session, access_format=AccessFormat.JWT)
    services, now = deployment.services, deployment.clock.now()
    return (await services.native_tokens.mint(shaped, services.rules.policy, now=now)).access_token


async def test_a_token_is_inactive_once_it_expires(deployment: TestDeployment) -> None:
    token = deployment.access_token(await deployment.issue())
    deployment.clock.advance(minutes=9)
    before = await introspected(deployment, token)

    deployment.clock.advance(minutes=1)

    assert before is not None
    assert await introspected(deployment, token) is None


async def test_a_previous_token_is_active_until_the_grace_ends(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    await rotated(deployment, session)
    within = await introspected(deployment, token)

    deployment.clock.advance(seconds=31)

    assert within is not None
    assert within.issued_at is None
    assert await introspected(deployment, token) is None


async def test_introspection_keeps_an_idle_session_alive() -> None:
    deployment = await TestDeployment.born(IDLE)
    token = deployment.access_token(await deployment.issue())

    for _ in range(3):
        deployment.clock.advance(minutes=4)
        assert await introspected(deployment, token) is not None
        await deployment.services.touches.flush()
    deployment.clock.advance(minutes=6)

    assert await introspected(deployment, token) is None


async def test_another_project_that_asks_keeps_nothing_alive() -> None:
    deployment = await TestDeployment.born(IDLE)
    other = await deployment.services.projects.add("shop", by=BY)
    token = deployment.access_token(await deployment.issue())

    deployment.clock.advance(minutes=4)
    assert await deployment.services.introspecting.introspect(token, other.id) is None
    await deployment.services.touches.flush()
    deployment.clock.advance(minutes=2)

    assert await introspected(deployment, token) is None


async def test_asking_about_a_refresh_token_confirms_no_rotation(deployment: TestDeployment) -> None:
    """Else whoever asks could make a client whose answer was lost look like a thief."""
    session = await deployment.issue()
    second = await rotated(deployment, session)

    assert await introspected(deployment, deployment.refresh_token(second)) is None
    await deployment.services.touches.flush()
    deployment.clock.advance(seconds=20)

    assert (await rotated(deployment, session)).generation == second.generation


@pytest.mark.parametrize("minutes", [10, 60 * 24 * 31])
async def test_an_expired_token_ends_nothing(deployment: TestDeployment, minutes: int) -> None:
    token = deployment.access_token(await deployment.issue())
    deployment.clock.advance(minutes=minutes)

    await deployment.services.sessions.end_presented(token, project=None, address=None)

    assert await ended(deployment) == 0


async def test_ending_twice_is_one_event_and_keeps_the_first_reason(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    token = deployment.refresh_token(session)

    await deployment.services.sessions.end_presented(token, project=None, address=None)
    await deployment.services.sessions.end_presented(token, project=DEFAULT_PROJECT, address=None, by=BY)

    standing = await deployment.services.sessions.get(DEFAULT_PROJECT, session.id)
    assert standing.session.revoked_reason == "signed_out"
    assert await ended(deployment) == 1


async def test_a_jwt_that_is_too_old_to_be_checked_by_its_jti_ends_nothing(
    deployment: TestDeployment,
) -> None:
    first = await deployment.issue()
    text = await as_jwt(deployment, first)
    second = await rotated(deployment, first)
    third = await rotated(deployment, second)

    await deployment.services.sessions.end_presented(text, project=None, address=None)
    assert await ended(deployment) == 0

    await deployment.services.sessions.end_presented(
        await as_jwt(deployment, third), project=None, address=None
    )
    assert await ended(deployment) == 1
