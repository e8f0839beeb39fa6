"""Stepping up: one change of the partition, after which the former session is dead and one of more assurance lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from sessiond.domain.callers import PUBLIC, ServerCaller
from sessiond.domain.errors import Forbidden, StateConflict, Unauthenticated
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SessionId, id_text
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import later
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Actor, Browser, Client, Session, SessionKind, Standing
from sessiond.domain.step_up import Reauthentication
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.token_forms import Form
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import ALICE, BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")


async def issued(deployment: TestDeployment, **members: Any) -> Session:  # noqa: ANN401
    order = Order(
        project=DEFAULT_PROJECT,
        subject=ALICE,
        session_kind=SessionKind.TOKENS,
        by=BY,
        create=SubjectKind.USER,
        rotates=True,
    )
    return (await deployment.services.issuing.issue(msgspec.structs.replace(order, **members))).session


async def stepped_up(
    deployment: TestDeployment,
    session: Session,
    *,
    idempotency_key: str | None = None,
    **members: Any,  # noqa: ANN401
) -> Session:
    authentication = Reauthentication(at=deployment.clock.now())
    done = await deployment.services.stepping_up.step_up(
        APP,
        session.id,
        msgspec.structs.replace(authentication, **members),
        idempotency_key=idempotency_key,
    )
    return done.session


async def told(deployment: TestDeployment, of: EventType) -> list[Event]:
    rows = await deployment.services.store.events(after=0, limit=100)
    return [event for _, event in rows if event.type is of]


async def test_the_former_session_s_tokens_are_dead_at_once_and_the_new_ones_live(
    deployment: TestDeployment,
) -> None:
    former = await deployment.issue()
    access, refresh = deployment.access_token(former), deployment.refresh_token(former)

    successor = await stepped_up(deployment, former, acr="gold")

    assert successor.id != former.id
    assert successor.nonce != former.nonce
    with pytest.raises(Unauthenticated, match=r"session_revoked.*stepped_up"):
        await deployment.services.sessions.verify(access)
    with pytest.raises(Unauthenticated, match="session_revoked"):
        await deployment.services.sessions.refresh(refresh, Form.REFRESH)
    verified = await deployment.services.sessions.verify(deployment.access_token(successor))
    assert verified.session == successor


async def test_what_was_authenticated_is_new_and_all_else_stays(deployment: TestDeployment) -> None:
    former = await issued(
        deployment,
        acr="silver",
        amr=("pwd",),
        metadata={"plan": "pro"},
        client=Client(name="phone"),
        idle_timeout=timedelta(hours=1),
        absolute_timeout=timedelta(hours=5),
    )
    deployment.clock.advance(hours=1, seconds=-1)

    successor = await stepped_up(deployment, former, acr="gold", amr=("pwd", "otp"))

    now = deployment.clock.now()
    expected = msgspec.structs.replace(
        former,
        id=successor.id,
        nonce=successor.nonce,
        created_at=now,
        last_seen_at=now,
        rotated_at=now,
        authenticated_at=now,
        acr="gold",
        amr=("pwd", "otp"),
    )
    assert successor == expected


async def test_what_the_authentication_does_not_name_stays(deployment: TestDeployment) -> None:
    former = await issued(deployment, acr="gold", amr=("pwd", "otp"))
    deployment.clock.advance(minutes=5)

    successor = await stepped_up(deployment, former)

    assert (successor.acr, successor.amr) == ("gold", ("pwd", "otp"))
    assert successor.authenticated_at == deployment.clock.now()


async def test_the_absolute_limit_stays_unless_a_new_period_is_asked_for(deployment: TestDeployment) -> None:
    former = await deployment.issue()
    deployment.clock.advance(days=29)

    first = await stepped_up(deployment, former)
    second = await stepped_up(deployment, first, absolute_timeout=timedelta(days=7))
    third = await stepped_up(deployment, second, absolute_timeout=timedelta(days=70))

    now = deployment.clock.now()
    assert first.expires_at == former.expires_at
    assert second.expires_at == later(now, timedelta(days=7))
    assert third.expires_at == later(now, Policy().absolute_timeout)


@pytest.mark.parametrize("on_limit", [OnLimit.EVICT_OLDEST, OnLimit.DENY])
async def test_a_subject_at_its_limit_loses_no_other_session_by_it(on_limit: OnLimit) -> None:
    deployment = await TestDeployment.born(Rules(policy=Policy(max_sessions=2, on_limit=on_limit)))
    other, former = await deployment.issue(), await deployment.issue()

    successor = await stepped_up(deployment, former)

    live = await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)
    assert {each.id for each in live} == {other.id, successor.id}


async def test_of_two_at_once_one_takes_the_session_s_place(deployment: TestDeployment) -> None:
    former = await deployment.issue()

    answers = await asyncio.gather(
        *(stepped_up(deployment, former) for _ in range(2)), return_exceptions=True
    )

    (refused,) = [answer for answer in answers if isinstance(answer, StateConflict)]
    assert refused.code == "session_ended"
    assert len(await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)) == 1


async def test_a_refresh_at_the_same_time_leaves_one_lineage(deployment: TestDeployment) -> None:
    former = await deployment.issue()
    refresh = deployment.services.sessions.refresh(deployment.refresh_token(former), Form.REFRESH)

    successor, _ = await asyncio.gather(stepped_up(deployment, former), refresh, return_exceptions=True)

    assert isinstance(successor, Session)
    live = await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)
    assert [each.id for each in live] == [successor.id]


async def test_a_retry_with_the_same_key_gets_the_same_session(deployment: TestDeployment) -> None:
    former = await deployment.issue()

    first = await stepped_up(deployment, former, idempotency_key="k")
    again = await stepped_up(deployment, former, idempotency_key="k")

    assert again == first
    with pytest.raises(StateConflict, match="session_ended"):
        await stepped_up(deployment, former)


class Beside(MemoryStore):
    """A store in which something else happens just before the next session is looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], Awaitable[object]] | None = None

    async def find_session(self, project: ProjectId, session: SessionId) -> Standing | None:
        before, self.before = self.before, None
        if before is not None:
            await before()
        return await super().find_session(project, session)


async def test_a_retry_beside_the_first_on_another_node_gets_the_same_session() -> None:
    store = Beside()
    here = await TestDeployment.born(store=store)
    there = await TestDeployment.born(store=store, seed="there")
    former, first = await issued(here), []

    async def meanwhile() -> None:
        first.append(await stepped_up(there, former, idempotency_key="k"))

    store.before = meanwhile
    retried = await stepped_up(here, former, idempotency_key="k")

    assert first == [retried]


async def test_a_subject_that_was_ended_everywhere_is_not_brought_back(deployment: TestDeployment) -> None:
    former = await deployment.issue()
    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)

    with pytest.raises(StateConflict, match="session_ended"):
        await stepped_up(deployment, former)


async def test_an_authentication_before_the_last_one_is_refused(deployment: TestDeployment) -> None:
    former = await deployment.issue()

    with pytest.raises(StateConflict, match="authentication_outdated"):
        await stepped_up(deployment, former, at=former.authenticated_at - 1)

    assert (await stepped_up(deployment, former, at=former.authenticated_at)).acr is None


async def test_nobody_steps_up_in_another_s_place(deployment: TestDeployment) -> None:
    session = await issued(deployment, actor=Actor(name="support", reason="ticket"))

    with pytest.raises(Forbidden, match="impersonated"):
        await stepped_up(deployment, session)


@pytest.mark.parametrize("kind", [SessionKind.PIN, SessionKind.STACK])
async def test_a_session_whose_tokens_another_api_hands_out_does_not_step_up(
    deployment: TestDeployment, kind: SessionKind
) -> None:
    session = await issued(deployment, session_kind=kind)

    with pytest.raises(StateConflict, match="session_not_steppable"):
        await stepped_up(deployment, session)


async def test_a_browser_s_older_tabs_are_led_to_the_successor(deployment: TestDeployment) -> None:
    former = await issued(
        deployment, session_kind=SessionKind.BROWSER, rotates=False, browser=Browser(remember=False)
    )

    successor = await stepped_up(deployment, former)

    ended = (await deployment.services.sessions.get(DEFAULT_PROJECT, former.id)).session
    assert ended.browser == Browser(remember=False, successor=successor.id)
    assert (successor.session_kind, successor.browser) == (SessionKind.BROWSER, Browser(remember=False))


async def test_a_linked_session_steps_up_to_one_that_the_device_s_identifier_does_not_open(
    deployment: TestDeployment,
) -> None:
    devices = deployment.services.devices
    device, _ = await devices.open_session(PUBLIC, "device-identifier-42", Client())
    linked = await deployment.services.linking.link(APP, device.id, ALICE)

    successor = await stepped_up(deployment, linked, acr="gold")
    reopened, _ = await devices.open_session(PUBLIC, "device-identifier-42", Client())

    assert (successor.subject, successor.session_kind, successor.acr) == (ALICE, SessionKind.TOKENS, "gold")
    refreshed = await deployment.services.sessions.refresh(deployment.refresh_token(successor), Form.REFRESH)
    assert refreshed.session.generation == 1
    assert reopened.subject == device.subject
    relinked = await deployment.services.linking.link(APP, reopened.id, ALICE)
    assert relinked.id != successor.id


async def test_it_is_told_which_session_took_the_place_of_which(deployment: TestDeployment) -> None:
    former = await deployment.issue()

    successor = await stepped_up(deployment, former, acr="gold", amr=("pwd", "otp"))

    (event,) = await told(deployment, EventType.SESSION_STEPPED_UP)
    assert (event.session, event.by) == (former.id, "server_key:app")
    assert event.data == {
        "by_key": "key",
        "successor": id_text(successor.id),
        "acr": "gold",
        "amr": "pwd otp",
    }
    opening = (await told(deployment, EventType.SESSION_ISSUED))[-1]
    assert opening.session == successor.id
    assert opening.data == {"by_key": "key", "kind": "tokens", "former": id_text(former.id)}


async def test_a_node_that_has_not_heard_of_a_refused_root_does_not_step_up_under_it(
    deployment: TestDeployment,
) -> None:
    session, services = await issued(deployment), deployment.services
    before = services.keys.deployment, services.keys.ring
    await services.rotating.compromise(DEFAULT_PROJECT, str(session.kid), by=Initiator("operator"))
    services.keys.deployment, services.keys.ring = before  # as a node that has read nothing since

    successor = await stepped_up(deployment, session)

    await services.keys.reload(at_once=True)
    assert (await services.sessions.verify(deployment.access_token(successor))).session == successor
