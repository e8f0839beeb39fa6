from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.callers import PUBLIC, ServerCaller
from sessiond.domain.errors import Forbidden, NotFound, StateConflict, Unauthenticated, Unavailable
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId, SubjectId, id_text
from sessiond.domain.initiators import Initiator
from sessiond.domain.sessions import Actor, Client, Session, SessionKind
from sessiond.domain.step_up import Reauthentication
from sessiond.domain.subjects import OPERATOR, SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Revocation
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import MemoryStore, open_store
from tests.crashing import Crashing
from tests.deployment import ALICE, BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
BOB = SubjectId("bob")
DEVICE = "device-identifier-42"
HOME = Client(address="192.0.2.1", user_agent="phone")


async def opened(deployment: TestDeployment, identifier: str = DEVICE) -> Session:
    session, _ = await deployment.services.devices.open_session(PUBLIC, identifier, HOME)
    return session


async def linked(deployment: TestDeployment, session: Session, user: SubjectId = ALICE) -> Session:
    return await deployment.services.linking.link(APP, session.id, user)


async def anonymous(deployment: TestDeployment, **members: object) -> Session:
    """Return a session of a subject that nobody knows by name."""
    order = Order(
        project=DEFAULT_PROJECT,
        subject=deployment.services.subjects.mint_id(),
        session_kind=SessionKind.TOKENS,
        by=BY,
        client=HOME,
        create=SubjectKind.USER,
        anonymous=True,
        rotates=True,
        idle_timeout=timedelta(hours=1),
        absolute_timeout=timedelta(days=2),
        acr="urn:example:low",
        metadata={"cart": 7},
    )
    return (await deployment.services.issuing.issue(msgspec.structs.replace(order, **members))).session


async def live(deployment: TestDeployment, subject: SubjectId) -> Sequence[SessionId]:
    return [each.id for each in await deployment.services.sessions.list_live(DEFAULT_PROJECT, subject)]


async def events(deployment: TestDeployment, of: EventType) -> Sequence[Event]:
    rows = await deployment.services.store.events(after=0, limit=1000)
    return [event for _, event in rows if event.type is of]


async def test_a_link_opens_a_session_of_the_user_and_ends_the_devices(deployment: TestDeployment) -> None:
    device = await opened(deployment)

    session = await linked(deployment, device)

    assert (session.subject, session.session_kind, session.linked_from) == (
        ALICE,
        SessionKind.DEVICE,
        device.subject,
    )
    assert (session.acr, session.client) == ("0", HOME)
    assert await live(deployment, ALICE) == [session.id]
    assert await live(deployment, device.subject) == []
    ended = await deployment.services.sessions.get(DEFAULT_PROJECT, device.id)
    assert ended.session.revoked_reason == "linked"


async def test_the_devices_next_call_opens_the_users_session(deployment: TestDeployment) -> None:
    session = await linked(deployment, await opened(deployment))

    found, token = await deployment.services.devices.open_session(PUBLIC, DEVICE, HOME)

    assert found.id == session.id
    verified = await deployment.services.sessions.verify(token.reveal())
    assert verified.session.subject == ALICE


async def test_another_devices_call_does_not(deployment: TestDeployment) -> None:
    await linked(deployment, await opened(deployment))

    other = await opened(deployment, "another-device")

    assert other.subject != ALICE
    assert other.linked_from is None


async def test_linking_again_returns_the_same_session(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    session = await linked(deployment, device)

    again = [await linked(deployment, device), await linked(deployment, session)]

    assert [each.id for each in again] == [session.id, session.id]
    assert len(await events(deployment, EventType.SUBJECT_LINKED)) == 1


async def test_a_device_of_one_user_is_not_linked_to_another(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    session = await linked(deployment, device)

    for presented in (device, session):
        with pytest.raises(StateConflict, match="linked_to_another"):
            await linked(deployment, presented, BOB)

    assert await live(deployment, BOB) == []
    assert await live(deployment, ALICE) == [session.id]


async def test_of_two_users_linked_at_once_one_gets_the_device(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    users = [SubjectId(f"user-{number}") for number in range(8)]

    answers = await asyncio.gather(
        *(linked(deployment, device, user) for user in users), return_exceptions=True
    )

    won = [answer for answer in answers if isinstance(answer, Session)]
    lost = [answer.code for answer in answers if isinstance(answer, StateConflict)]
    assert (len(won), lost) == (1, ["linked_to_another"] * 7)
    assert [await live(deployment, user) for user in users if user != won[0].subject] == [[]] * 7
    assert (await opened(deployment)).id == won[0].id


async def test_one_link_made_many_times_at_once_opens_one_session(deployment: TestDeployment) -> None:
    device = await opened(deployment)

    sessions = await asyncio.gather(*(linked(deployment, device) for _ in range(16)))

    assert len({session.id for session in sessions}) == 1
    assert await live(deployment, ALICE) == [sessions[0].id]


@pytest.mark.parametrize("crash_at", range(4))
async def test_a_link_is_completed_by_repeating_it_after_a_crash(crash_at: int) -> None:
    store = Crashing(await open_store("memory://", role=Role.SERVER))
    deployment = await TestDeployment.born(store=store)
    device = await opened(deployment)
    store.arm(crash_at)
    crashed = False
    try:
        await linked(deployment, device)
    except Unavailable:
        crashed = True

    session = await linked(deployment, device)

    assert crashed is (crash_at < 3)
    assert await live(deployment, ALICE) == [session.id]
    assert await live(deployment, device.subject) == []
    assert (await opened(deployment)).id == session.id


async def test_a_device_whose_link_crashed_before_it_was_remembered_is_its_own(
    deployment: TestDeployment,
) -> None:
    store = Crashing(deployment.services.store)
    crashing = await TestDeployment.born(store=store)
    device = await opened(crashing)
    store.arm(1)
    with pytest.raises(Unavailable):
        await linked(crashing, device)

    assert (await opened(crashing)).id == device.id
    assert (await linked(crashing, device, BOB)).subject == BOB


async def test_the_identifier_never_opens_a_new_session_of_the_user(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    session = await linked(deployment, device)
    await deployment.services.sessions.revoke(session, reason="signed_out", by=Initiator("subject:alice"))

    after = await opened(deployment)

    assert (after.subject, after.linked_from) == (device.subject, None)
    assert await live(deployment, ALICE) == []


@pytest.mark.parametrize("ending", ["epoch", "disabled", "deleted", "expired"])
async def test_however_the_users_session_ends_the_device_is_its_own_again(
    deployment: TestDeployment, ending: str
) -> None:
    device = await opened(deployment)
    await linked(deployment, device)
    subjects = deployment.services.subjects
    match ending:
        case "epoch":
            await subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=BY)
        case "disabled":
            await subjects.disable(DEFAULT_PROJECT, ALICE, by=BY)
        case "deleted":
            await subjects.delete(DEFAULT_PROJECT, ALICE, by=BY)
        case _:
            deployment.clock.advance(days=30)

    after = await opened(deployment)

    assert after.subject == device.subject
    assert (await linked(deployment, after, BOB)).subject == BOB


async def test_an_ended_device_session_is_not_linked(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    await deployment.services.sessions.revoke(device, reason="revoked", by=BY)

    with pytest.raises(StateConflict, match="session_ended"):
        await linked(deployment, device)

    assert await live(deployment, ALICE) == []


async def test_only_a_session_of_somebody_unknown_is_linked(deployment: TestDeployment) -> None:
    session = await deployment.issue(BOB)
    acted = await anonymous(deployment, actor=Actor(name="sue", reason="ticket"))

    for each in (session, acted):
        with pytest.raises(StateConflict, match="not_anonymous"):
            await linked(deployment, each)
    with pytest.raises(NotFound, match="session_unknown"):
        await deployment.services.linking.link(APP, SessionId(bytes(16)), ALICE)


async def test_a_device_is_linked_to_users_only(deployment: TestDeployment) -> None:
    device, other = await opened(deployment), await opened(deployment, "another-device")

    for user in (OPERATOR, other.subject, device.subject):
        with pytest.raises(StateConflict, match="not_a_user"):
            await linked(deployment, device, user)

    assert (await opened(deployment)).id == device.id


async def test_a_disabled_user_gets_no_device_and_a_disabled_device_no_user(
    deployment: TestDeployment,
) -> None:
    subjects = deployment.services.subjects
    await deployment.issue(ALICE)
    await subjects.disable(DEFAULT_PROJECT, ALICE, by=BY)
    device = await opened(deployment)
    with pytest.raises(Forbidden, match="subject_disabled"):
        await linked(deployment, device)
    await linked(deployment, device, BOB)
    await subjects.disable(DEFAULT_PROJECT, device.subject, by=BY)

    with pytest.raises(Forbidden, match="subject_disabled"):
        await opened(deployment)


async def test_who_linked_what_to_whom_is_in_the_events(deployment: TestDeployment) -> None:
    device = await opened(deployment)
    session = await linked(deployment, device)

    [event] = await events(deployment, EventType.SUBJECT_LINKED)
    issued = (await events(deployment, EventType.SESSION_ISSUED))[-1]

    assert (event.by, event.subject, event.session) == ("server_key:app", device.subject, device.id)
    assert event.data == {"by_key": "key", "user": ALICE, "opened": id_text(session.id)}
    assert (issued.subject, issued.data["linked_from"]) == (ALICE, device.subject)


async def test_the_devices_former_token_is_dead_at_once(deployment: TestDeployment) -> None:
    device, token = await deployment.services.devices.open_session(PUBLIC, DEVICE, HOME)
    await linked(deployment, device)

    with pytest.raises(Unauthenticated, match="session_revoked"):
        await deployment.services.sessions.verify(token.reveal())


async def test_an_anonymous_session_goes_on_as_the_users_and_as_it_was(deployment: TestDeployment) -> None:
    former = await anonymous(deployment)
    other = await anonymous(deployment, subject=former.subject)

    session = await linked(deployment, former)

    assert (session.subject, session.linked_from, session.session_kind) == (
        ALICE,
        former.subject,
        SessionKind.TOKENS,
    )
    for member in (
        "client",
        "acr",
        "authenticated_at",
        "metadata",
        "idle_timeout_ms",
        "expires_at",
        "rotates",
    ):
        assert getattr(session, member) == getattr(former, member), member
    assert await live(deployment, former.subject) == []
    assert (
        await deployment.services.sessions.get(DEFAULT_PROJECT, other.id)
    ).session.revoked_reason == "linked"


async def test_an_anonymous_session_is_linked_once(deployment: TestDeployment) -> None:
    former = await anonymous(deployment)
    session = await linked(deployment, former)

    assert (await linked(deployment, former)).id == session.id
    for presented in (former, session):
        with pytest.raises(StateConflict, match="linked_to_another"):
            await linked(deployment, presented, BOB)
    await deployment.services.sessions.revoke(session, reason="revoked", by=BY)
    with pytest.raises(StateConflict, match="session_ended"):
        await linked(deployment, former)


@pytest.mark.parametrize("crash_at", range(4))
async def test_the_link_of_an_anonymous_session_is_completed_after_a_crash(crash_at: int) -> None:
    store = Crashing(await open_store("memory://", role=Role.SERVER))
    deployment = await TestDeployment.born(store=store)
    former = await anonymous(deployment)
    store.arm(crash_at)
    with contextlib.suppress(Unavailable):
        await linked(deployment, former)

    session = await linked(deployment, former)

    assert await live(deployment, ALICE) == [session.id]
    assert await live(deployment, former.subject) == []


async def test_nothing_is_linked_to_somebody_who_is_anonymous_too(deployment: TestDeployment) -> None:
    former, other = await anonymous(deployment), await anonymous(deployment)

    for user in (other.subject, former.subject):
        with pytest.raises(StateConflict, match="not_a_user"):
            await linked(deployment, former, user)


class Beside(MemoryStore):
    """A memory engine in which, just before the next session is ended, somebody else does something."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def revoke(self, revocations: Sequence[Revocation]) -> Sequence[Session | None]:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            await happening()
        return await super().revoke(revocations)


async def test_a_step_up_beside_the_link_leaves_nothing_of_the_device_alive() -> None:
    store = Beside()
    deployment = await TestDeployment.born(store=store)
    device = await opened(deployment)
    stepped: list[Session] = []

    async def step_up() -> None:
        authentication = Reauthentication(at=deployment.clock.now())
        stepped.append(
            (await deployment.services.stepping_up.step_up(APP, device.id, authentication)).session
        )

    store.meanwhile = step_up
    session = await linked(deployment, device)

    assert stepped[0].id != device.id
    assert await live(deployment, device.subject) == []
    assert await live(deployment, ALICE) == [session.id]
