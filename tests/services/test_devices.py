from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
import pytest

from sessiond.domain.callers import PUBLIC, OperatorCaller, ServerCaller
from sessiond.domain.errors import Forbidden, Throttled
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.records import Kind
from sessiond.domain.rules import DeviceRules, Rules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.ports import Selection
from sessiond.services.token_forms import Form
from tests.crypto.material import with_new_root
from tests.deployment import BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
DEVICE = "canary-device-identifier-42"
HOME = Client(address="192.0.2.1", user_agent="phone")


async def deployed(**rules: int | timedelta) -> TestDeployment:
    return await TestDeployment.born(Rules(device=msgspec.convert(rules, DeviceRules)))


async def opened(
    deployment: TestDeployment,
    identifier: str = DEVICE,
    client: Client = HOME,
    *,
    by: ServerCaller | OperatorCaller = PUBLIC,
) -> Session:
    session, _ = await deployment.services.devices.open_session(by, identifier, client)
    return session


async def opened_each(deployment: TestDeployment, identifiers: Sequence[str]) -> Sequence[Session]:
    return [await opened(deployment, identifier) for identifier in identifiers]


async def test_a_device_is_an_anonymous_subject_with_the_lowest_assurance(deployment: TestDeployment) -> None:
    session = await opened(deployment)

    subject = await deployment.services.subjects.require(DEFAULT_PROJECT, session.subject)
    assert (subject.subject_kind, subject.anonymous, subject.hint) == (SubjectKind.DEVICE, True, "42")
    assert (session.session_kind, session.acr, session.amr) == (SessionKind.DEVICE, "0", ())
    assert session.client == HOME


async def test_its_token_is_fresh_each_time_and_proves_the_same_session(deployment: TestDeployment) -> None:
    devices = deployment.services.devices
    _, first = await devices.open_session(PUBLIC, DEVICE, HOME)
    _, second = await devices.open_session(PUBLIC, DEVICE, HOME)

    proofs = [await deployment.services.sessions.verify(token.reveal()) for token in (first, second)]

    assert first.reveal() != second.reveal()
    assert proofs[0].session.id == proofs[1].session.id
    assert {proof.form for proof in proofs} == {Form.DEVICE}


async def test_the_lifetime_does_not_slide(deployment: TestDeployment) -> None:
    session = await opened(deployment)
    deployment.clock.advance(days=29)
    again = await opened(deployment)
    deployment.clock.advance(days=1)

    after = await opened(deployment)

    assert (again.id, again.expires_at) == (session.id, session.expires_at)
    assert session.expires_at - session.created_at == 30 * 86_400_000
    assert after.id != session.id
    assert after.subject == session.subject


async def test_a_revoked_session_is_not_found_again(deployment: TestDeployment) -> None:
    session = await opened(deployment)
    await deployment.services.sessions.revoke(session, reason="operator", by=BY)

    assert (await opened(deployment)).id != session.id


async def test_the_lifetime_is_the_devices_even_above_the_policys() -> None:
    deployment = await deployed(session_ttl=timedelta(days=90))

    session = await opened(deployment)

    assert session.expires_at - session.created_at == 90 * 86_400_000


async def test_many_calls_at_once_give_one_session(deployment: TestDeployment) -> None:
    sessions = await asyncio.gather(*(opened(deployment) for _ in range(64)))

    assert len({session.id for session in sessions}) == 1


async def test_a_disabled_device_is_refused_and_takes_no_place() -> None:
    deployment = await deployed(max_sessions_per_ip=2)
    session = await opened(deployment)
    await deployment.services.subjects.disable(DEFAULT_PROJECT, session.subject, by=BY)

    for caller in (PUBLIC, APP):
        with pytest.raises(Forbidden):
            await opened(deployment, by=caller)


async def test_two_projects_name_the_same_device_differently(deployment: TestDeployment) -> None:
    other = await deployment.services.projects.add("other", by=BY)
    elsewhere = ServerCaller(project=other.id, name="app", key_id="key")

    ours, theirs = await opened(deployment, by=APP), await opened(deployment, by=elsewhere)

    assert ours.subject != theirs.subject
    assert theirs.project == other.id


async def test_a_rotated_key_names_the_device_as_before(deployment: TestDeployment) -> None:
    keys, session = deployment.services.keys, await opened(deployment)
    keys.ring = with_new_root(keys.ring, DEFAULT_PROJECT, deployment.services.entropy, deployment.clock.now())

    assert (await opened(deployment)).id == session.id


async def test_no_record_and_no_event_holds_the_identifier(deployment: TestDeployment) -> None:
    await opened(deployment)

    store = deployment.services.store
    kept = [await store.scan(Selection(kind=kind), limit=1000) for kind in Kind]
    everything = msgspec.msgpack.encode([kept, await store.events(after=0, limit=1000)])
    for part in (DEVICE, DEVICE[:6], DEVICE[-6:], DEVICE.encode().hex()):
        assert part.encode() not in everything


# -- limits -----------------------------------------------------------------------------------------------------


async def test_an_address_brings_so_many_new_devices_an_hour() -> None:
    deployment = await deployed(new_per_hour=3)
    await opened(deployment, "a-first")
    deployment.clock.advance(minutes=20)
    await opened_each(deployment, ["second", "third"])

    with pytest.raises(Throttled) as refused:
        await opened(deployment, "fourth")

    assert refused.value.retry_after_seconds == 40 * 60
    deployment.clock.advance(minutes=40)
    await opened(deployment, "fourth")
    with pytest.raises(Throttled):
        await opened(deployment, "fifth")


async def test_a_device_that_is_known_is_never_new() -> None:
    deployment = await deployed(new_per_hour=1, session_ttl=timedelta(minutes=5))
    session = await opened(deployment)

    assert (await opened(deployment)).id == session.id
    deployment.clock.advance(minutes=6)
    assert (await opened(deployment)).id != session.id
    with pytest.raises(Throttled):
        await opened(deployment, "another")


async def test_each_address_counts_for_itself_and_ipv6_by_64_bits() -> None:
    deployment = await deployed(new_per_hour=1)
    first, same, other = (
        Client(address=address) for address in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1")
    )
    await opened(deployment, "a", first)

    with pytest.raises(Throttled):
        await opened(deployment, "b", same)
    await opened(deployment, "b", other)
    await opened(deployment, "c", HOME)


async def test_an_address_has_so_many_live_sessions() -> None:
    deployment = await deployed(max_sessions_per_ip=2, session_ttl=timedelta(hours=2))
    await opened_each(deployment, ["a", "b"])
    deployment.clock.advance(minutes=30)

    with pytest.raises(Throttled) as refused:
        await opened(deployment, "c")

    assert refused.value.retry_after_seconds == 90 * 60
    deployment.clock.advance(minutes=90)
    await opened(deployment, "c")


async def test_a_session_that_ended_early_makes_room() -> None:
    deployment = await deployed(max_sessions_per_ip=2)
    first, _ = await opened_each(deployment, ["a", "b"])
    deployment.clock.advance(minutes=1)
    with pytest.raises(Throttled):
        await opened(deployment, "c")

    await deployment.services.sessions.revoke(first, reason="operator", by=BY)

    await opened(deployment, "c")
    with pytest.raises(Throttled):
        await opened(deployment, "d")


async def test_a_known_device_needs_a_place_for_its_new_session() -> None:
    deployment = await deployed(max_sessions_per_ip=1)
    first = await opened(deployment, "a")
    deployment.clock.advance(minutes=1)
    await deployment.services.sessions.revoke(first, reason="operator", by=BY)
    await opened(deployment, "b")

    with pytest.raises(Throttled):
        await opened(deployment, "a")


async def test_new_devices_at_once_never_pass_the_limits() -> None:
    deployment = await deployed(max_sessions_per_ip=5, new_per_hour=9)

    outcomes = await asyncio.gather(
        *(opened(deployment, f"device-{number}") for number in range(40)), return_exceptions=True
    )

    assert sum(isinstance(outcome, Session) for outcome in outcomes) == 5
    assert all(isinstance(outcome, Session | Throttled) for outcome in outcomes)


async def test_one_new_device_that_calls_often_at_once_is_counted_once() -> None:
    deployment = await deployed(max_sessions_per_ip=2, new_per_hour=2)

    await asyncio.gather(*(opened(deployment, "a") for _ in range(20)))

    await opened(deployment, "b")


async def test_applications_and_operators_are_not_limited() -> None:
    deployment = await deployed(max_sessions_per_ip=1, new_per_hour=1)
    operator = OperatorCaller(project=DEFAULT_PROJECT)

    for number in range(3):
        await opened(deployment, f"app-{number}", by=APP)
        await opened(deployment, f"operator-{number}", by=operator)


async def test_a_refused_device_leaves_nothing_behind() -> None:
    deployment = await deployed(new_per_hour=1)
    await opened(deployment, "a")
    store = deployment.services.store
    before = await store.newest_event(), await store.count(Selection(kind=Kind.SUBJECT))

    with pytest.raises(Throttled):
        await opened(deployment, "b")

    assert before == (await store.newest_event(), await store.count(Selection(kind=Kind.SUBJECT)))


async def test_opening_is_an_event_that_names_the_caller(deployment: TestDeployment) -> None:
    session = await opened(deployment, by=APP)

    events = [event for _, event in await deployment.services.store.events(after=0, limit=100)]

    (issued,) = [event for event in events if event.type is EventType.SESSION_ISSUED]
    assert (issued.session, issued.by, issued.data["kind"]) == (session.id, "server_key:app", "device")
