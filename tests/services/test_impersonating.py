"""Impersonation: who acts is checked, lives no longer than may be, and is out the moment the actor is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sessiond.domain.callers import OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import Forbidden, NotFound, StateConflict, Unauthenticated
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId, id_text
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import later
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.rules import ImpersonationRules, Rules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.step_up import Reauthentication
from sessiond.domain.subjects import SubjectKind
from sessiond.services.impersonating import Asked
from sessiond.services.orders import Order
from sessiond.services.ports import Store
from sessiond.services.token_forms import Form
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from sessiond.testing import samples
from tests.deployment import ALICE, BY, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
OPERATOR = OperatorCaller(project=DEFAULT_PROJECT)
BOB = SubjectId("bob")
OUTSIDE = Asked(name="carol@support.example", reason="cannot sign in", ticket="T-1")
HOUR = timedelta(hours=1)


def an_order(**members: Any) -> Order:  # noqa: ANN401  any member may be chosen
    order = Order(
        project=DEFAULT_PROJECT,
        subject=ALICE,
        session_kind=SessionKind.TOKENS,
        by=APP.initiator,
        create=SubjectKind.USER,
        rotates=True,
    )
    return msgspec.structs.replace(order, **members)


async def impersonated(
    deployment: TestDeployment,
    asked: Asked,
    caller: ServerCaller | OperatorCaller = APP,
    **members: Any,  # noqa: ANN401
) -> Session:
    services = deployment.services
    order = await services.impersonating.order(caller, an_order(**members), asked)
    return (await services.issuing.issue(order)).session


async def acting(deployment: TestDeployment, **members: Any) -> tuple[Session, Session]:  # noqa: ANN401
    """Return Bob's own session, and one of Alice's in which he acts by it."""
    await deployment.issue(ALICE)
    own = (await deployment.services.issuing.issue(an_order(subject=BOB, **members))).session
    return own, await impersonated(deployment, Asked(session=own.id, reason="cannot sign in"))


async def refused(deployment: TestDeployment, session: Session) -> str | None:
    """Return the code with which the session's token is refused, None where it passes."""
    try:
        await deployment.services.sessions.verify(deployment.access_token(session))
    except Unauthenticated as refusal:
        return refusal.code
    return None


async def told(deployment: TestDeployment, of: EventType) -> list[Event]:
    rows = await deployment.services.store.events(after=0, limit=200)
    return [event for _, event in rows if event.type is of]


async def test_it_is_the_subject_s_session_and_says_who_acts(deployment: TestDeployment) -> None:
    own, session = await acting(deployment)

    verified = (await deployment.services.sessions.verify(deployment.access_token(session))).session

    assert verified.subject == ALICE
    actor = verified.actor
    assert actor is not None
    assert (actor.name, actor.reason, actor.subject, actor.session) == (BOB, "cannot sign in", BOB, own.id)
    live = await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)
    assert session in live


# -- how long it lives ------------------------------------------------------------------


async def test_it_lives_for_an_hour_at_most(deployment: TestDeployment) -> None:
    await deployment.issue(ALICE)
    now = deployment.clock.now()

    unasked = await impersonated(deployment, OUTSIDE)
    shorter = await impersonated(deployment, OUTSIDE, absolute_timeout=HOUR / 2)
    longer = await impersonated(deployment, OUTSIDE, absolute_timeout=HOUR * 24)

    lives = [each.expires_at - now for each in (unasked, shorter, longer)]
    assert lives == [3_600_000, 1_800_000, 3_600_000]


async def test_the_setting_and_the_policy_shorten_it() -> None:
    rules = Rules(
        policy=Policy(absolute_timeout=HOUR * 2), impersonation=ImpersonationRules(absolute_timeout=HOUR * 3)
    )
    deployment = await TestDeployment.born(rules)
    await deployment.issue(ALICE)

    session = await impersonated(deployment, OUTSIDE)

    assert session.expires_at == later(deployment.clock.now(), HOUR * 2)


async def test_it_lives_no_longer_than_the_actor_s_session_still_does(deployment: TestDeployment) -> None:
    own, session = await acting(deployment, absolute_timeout=HOUR / 4)

    assert session.expires_at == own.expires_at


async def test_it_is_as_fresh_as_the_actor_s_own_sign_in(deployment: TestDeployment) -> None:
    own = await deployment.issue(BOB)
    await deployment.issue(ALICE)
    deployment.clock.advance(minutes=10)

    session = await impersonated(deployment, Asked(session=own.id, reason="r"))

    assert session.authenticated_at == own.authenticated_at
    assert (session.acr, session.amr) == (None, ())


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("its session is revoked", "actor_session_ended"),
        ("all its sessions are ended", "actor_sessions_revoked"),
        ("its other sessions are ended", "actor_sessions_revoked"),
        ("it is disabled", "actor_sessions_revoked"),
        ("its session steps up", "actor_session_ended"),
        ("its session expires", "actor_session_ended"),
    ],
)
async def test_it_ends_with_the_actor(deployment: TestDeployment, how: str, code: str) -> None:
    own, session = await acting(deployment, idle_timeout=HOUR / 6)
    services = deployment.services
    assert await refused(deployment, session) is None

    match how:
        case "its session is revoked":
            await services.sessions.revoke(own, reason="signed_out", by=Initiator("subject:bob"))
        case "all its sessions are ended":
            await services.subjects.revoke_sessions(DEFAULT_PROJECT, BOB, by=BY)
        case "its other sessions are ended":
            await services.own_sessions.end_others(own, by=Initiator("subject:bob"))
        case "it is disabled":
            await services.subjects.disable(DEFAULT_PROJECT, BOB, by=BY)
        case "its session steps up":
            await services.stepping_up.step_up(APP, own.id, Reauthentication(at=deployment.clock.now()))
        case _:
            deployment.clock.advance(minutes=10)

    assert await refused(deployment, session) == code
    with pytest.raises(Unauthenticated, match=code):
        await services.sessions.refresh(deployment.refresh_token(session), Form.REFRESH)


async def test_a_project_s_sessions_that_end_while_it_is_ordered_take_it_along(
    deployment: TestDeployment,
) -> None:
    own, _ = await acting(deployment)
    services = deployment.services
    order = await services.impersonating.order(APP, an_order(), Asked(session=own.id, reason="r"))
    await services.projects.revoke_sessions(DEFAULT_PROJECT, by=Initiator("operator"))

    session = (await services.issuing.issue(order)).session

    assert await refused(deployment, own) == "project_sessions_revoked"
    assert await refused(deployment, session) == "actor_session_ended"


async def test_it_ends_with_the_subject_s_sessions_too(deployment: TestDeployment) -> None:
    _, session = await acting(deployment)

    await deployment.services.subjects.revoke_sessions(DEFAULT_PROJECT, ALICE, by=Initiator("subject:alice"))

    assert await refused(deployment, session) == "subject_sessions_revoked"


# -- strictness ------------------------------------------------------------------


@pytest.fixture
async def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessiond.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """The engine that keeps standings: only there is an admission remembered."""
    store = await open_store(url, role=Role.SERVER)
    yield store
    await store.close()


async def remembered(deployment: TestDeployment, session: Session) -> str:
    """Return an access token that peeking answers from what it remembers."""
    token = deployment.access_token(session)
    await deployment.services.sessions.verify(token)
    assert deployment.services.sessions.peek(token) is not None
    assert deployment.services.sessions.peek(token) is not None
    return token


@pytest.mark.parametrize("by", ["the server", "another process"])
async def test_no_remembered_admission_outlives_the_actor_s_session(url: str, store: Store, by: str) -> None:
    deployment = await TestDeployment.born(store=store)
    own, session = await acting(deployment)
    token = await remembered(deployment, session)
    beside = await open_store(url, role=Role.TOOL)

    writer = store if by == "the server" else beside
    await writer.revoke([samples.revocation(own, at=deployment.clock.now(), reason="signed_out")])

    assert deployment.services.sessions.peek(token) is None
    with pytest.raises(Unauthenticated, match="actor_session_ended"):
        await deployment.services.sessions.verify(token)
    await beside.close()


async def test_a_remembered_admission_ends_at_the_actor_s_idle_limit(store: Store) -> None:
    deployment = await TestDeployment.born(store=store)
    own, _ = await acting(deployment, idle_timeout=timedelta(minutes=5))
    deployment.clock.advance(minutes=5, milliseconds=-1)
    session = await impersonated(deployment, Asked(session=own.id, reason="r"))
    token = await remembered(deployment, session)

    deployment.clock.advance(milliseconds=1)

    assert deployment.services.sessions.peek(token) is None
    assert await refused(deployment, session) == "actor_session_ended"


# -- who may act as whom ------------------------------------------------------------------


async def test_nobody_acts_by_a_session_that_does_not_live(deployment: TestDeployment) -> None:
    own, _ = await acting(deployment)
    await deployment.services.sessions.revoke(own, reason="signed_out", by=BY)

    for session in (own.id, samples.session_id()):
        with pytest.raises(StateConflict, match="actor_session_ended"):
            await impersonated(deployment, Asked(session=session, reason="r"))


async def test_nobody_acts_by_a_session_of_another_project(deployment: TestDeployment) -> None:
    own, _ = await acting(deployment)
    other = ServerCaller(project=ProjectId("7f3c8a52-9d41-4b6e-8f0a-2c5d1e9b7a60"), name="o", key_id="k")

    with pytest.raises(StateConflict, match="actor_session_ended"):
        await impersonated(deployment, Asked(session=own.id, reason="r"), other)


async def test_who_impersonates_does_not_impersonate_on(deployment: TestDeployment) -> None:
    _, session = await acting(deployment)
    carol = SubjectId("carol")
    await deployment.issue(carol)

    with pytest.raises(Forbidden, match="impersonated"):
        await impersonated(deployment, Asked(session=session.id, reason="r"), subject=carol)


async def test_nobody_acts_as_himself(deployment: TestDeployment) -> None:
    own = await deployment.issue(ALICE)

    with pytest.raises(StateConflict, match="actor_is_subject"):
        await impersonated(deployment, Asked(session=own.id, reason="r"))


async def test_the_operator_s_session_acts_for_the_operator_only(deployment: TestDeployment) -> None:
    await deployment.issue(ALICE)
    own = (await deployment.services.operators.open_session(Client()))[0]

    with pytest.raises(StateConflict, match="actor_session_ended"):
        await impersonated(deployment, Asked(session=own.id, reason="r"))
    session = await impersonated(deployment, Asked(session=own.id, reason="r"), OPERATOR)

    assert await refused(deployment, session) is None


async def test_only_a_known_subject_is_impersonated(deployment: TestDeployment) -> None:
    with pytest.raises(NotFound, match="subject_unknown"):
        await impersonated(deployment, OUTSIDE)


@pytest.mark.parametrize("on_limit", [OnLimit.EVICT_OLDEST, OnLimit.DENY])
async def test_it_takes_no_place_of_the_subject_s_own_sessions(on_limit: OnLimit) -> None:
    deployment = await TestDeployment.born(Rules(policy=Policy(max_sessions=1, on_limit=on_limit)))
    own = await deployment.issue(ALICE)

    session = await impersonated(deployment, OUTSIDE)

    assert await refused(deployment, own) is None
    if on_limit is OnLimit.EVICT_OLDEST:
        await deployment.issue(ALICE)
        assert await refused(deployment, session) is None


# -- what it may not do ------------------------------------------------------------------


async def test_it_ends_itself_and_nothing_else_of_the_subject(deployment: TestDeployment) -> None:
    _, session = await acting(deployment)
    (other,) = [
        each
        for each in await deployment.services.sessions.list_live(DEFAULT_PROJECT, ALICE)
        if each.actor is None
    ]
    own = deployment.services.own_sessions

    for attempt in (
        own.end_others(session, by=BY),
        own.end(session, other.id, reason="r", by=BY),
        own.rename(session, session.id, "mine", by=BY),
    ):
        with pytest.raises(Forbidden, match="impersonated"):
            await attempt
    await own.end(session, session.id, reason="signed_out", by=BY)

    assert await refused(deployment, other) is None
    assert await refused(deployment, session) == "session_revoked"


# -- what it says ------------------------------------------------------------------


async def test_it_is_audited_with_who_why_and_on_which_ticket(deployment: TestDeployment) -> None:
    own, session = await acting(deployment)
    outside = await impersonated(deployment, OUTSIDE)

    inner, outer = await told(deployment, EventType.SESSION_IMPERSONATED)

    assert (inner.session, inner.subject, inner.by) == (session.id, ALICE, "server_key:app")
    assert inner.data["actor"] == BOB
    assert inner.data["actor_session"] == id_text(own.id)
    assert outer.session == outside.id
    facts = {"actor": "carol@support.example", "reason": "cannot sign in", "ticket": "T-1", "kind": "tokens"}
    assert outer.data == facts


async def test_what_is_done_in_it_names_both(deployment: TestDeployment) -> None:
    _, inside = await acting(deployment)
    outside = await impersonated(deployment, OUTSIDE)

    labels = []
    for session in (inside, outside):
        standing = await deployment.services.store.find_session(DEFAULT_PROJECT, session.id)
        assert standing is not None
        labels.append(SubjectCaller(standing=standing).label)
    await deployment.services.sessions.end_presented(
        deployment.access_token(outside), project=None, address=None
    )

    assert labels == ["subject:bob", "actor:carol@support.example"]
    (event,) = await told(deployment, EventType.SESSION_REVOKED)
    assert (event.subject, event.by) == (ALICE, "actor:carol@support.example")
    assert event.data["actor"] == "carol@support.example"
