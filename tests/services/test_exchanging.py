"""Exchanging: a child token never outlives its parent, and nobody acts through it unseen."""

from __future__ import annotations

import pytest

from sessiond.crypto import jws
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import unix_seconds
from sessiond.domain.sessions import Actor, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.exchanging import Exchanged
from sessiond.services.orders import Order
from sessiond.services.token_forms import Form
from tests.deployment import ALICE, BY, TestDeployment


async def exchanged(deployment: TestDeployment, text: str) -> Exchanged:
    return await deployment.services.exchanging.exchange(text, DEFAULT_PROJECT, "billing")


async def active(deployment: TestDeployment, text: str) -> bool:
    return await deployment.services.introspecting.introspect(text, DEFAULT_PROJECT) is not None


def token_until(deployment: TestDeployment, session: Session, *, seconds: int) -> str:
    """Return an access token that expires in *seconds*."""
    expires_at = deployment.clock.now() + seconds * 1000
    return deployment.services.tokens.opaque(TokenKind.ACCESS, session, expires_at=expires_at)


@pytest.mark.parametrize(("parent", "child"), [(600, 300), (301, 300), (300, 300), (45, 45)])
async def test_a_child_ends_no_later_than_its_parent(
    deployment: TestDeployment, parent: int, child: int
) -> None:
    text = token_until(deployment, await deployment.issue(), seconds=parent)

    issued = await exchanged(deployment, text)

    unverified = jws.peek(issued.access_token)
    assert unverified is not None
    assert unverified.claims["exp"] == unix_seconds(deployment.clock.now()) + child
    assert issued.expires_in == child
    assert await active(deployment, issued.access_token)
    deployment.clock.advance(seconds=child)
    assert not await active(deployment, issued.access_token)


async def test_a_child_is_dead_once_its_session_has_moved_on(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    child = (await exchanged(deployment, deployment.access_token(session))).access_token
    await deployment.services.sessions.refresh(deployment.refresh_token(session), Form.REFRESH)
    within_grace = await active(deployment, child)

    deployment.clock.advance(seconds=31)

    assert within_grace
    assert not await active(deployment, child)


async def test_a_child_does_not_verify(deployment: TestDeployment) -> None:
    child = (await exchanged(deployment, deployment.access_token(await deployment.issue()))).access_token

    assert deployment.services.sessions.peek(child) is None
    with pytest.raises(Unauthenticated, match="wrong_token_kind"):
        await deployment.services.sessions.verify(child)


async def test_a_child_of_a_session_in_which_someone_else_acts_says_who(deployment: TestDeployment) -> None:
    issued = await deployment.services.issuing.issue(
        Order(
            project=DEFAULT_PROJECT,
            subject=ALICE,
            session_kind=SessionKind.TOKENS,
            by=BY,
            create=SubjectKind.USER,
            actor=Actor(name="support", reason="ticket"),
        )
    )

    child = (await exchanged(deployment, deployment.access_token(issued.session))).access_token

    claims = jws.peek(child)
    assert claims is not None
    assert (claims.claims["sub"], claims.claims["act"]) == (ALICE, {"sub": "support"})
    assert await active(deployment, child)


async def test_what_it_is_shown_as_holds_no_token(deployment: TestDeployment) -> None:
    issued = await exchanged(deployment, deployment.access_token(await deployment.issue()))

    assert issued.access_token not in repr(issued)
