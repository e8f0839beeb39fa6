"""Anonymous subjects that nobody uses any more go; whoever comes back in time stays, and who comes too late is new."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from sessiond.crypto.secrets import Secret
from sessiond.domain.callers import PUBLIC, ServerCaller
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.rules import PurgeRules
from sessiond.domain.sessions import Client, Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Store
from sessiond.services.vault.answers import NewToken
from sessiond.storage.engine import Role
from sessiond.storage.engines.memory import open_store
from tests.deployment import ALICE, BY, NOON, TestDeployment

APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="key")
DEVICE = "device-identifier-42"
KEPT_FOR = timedelta(days=30)


async def visitor(
    deployment: TestDeployment, subject: str = "visitor", *, project: ProjectId = DEFAULT_PROJECT
) -> Session:
    """Return a session of an anonymous subject, of two days."""
    order = Order(
        project=project,
        subject=SubjectId(subject),
        session_kind=SessionKind.TOKENS,
        by=BY,
        create=SubjectKind.USER,
        anonymous=True,
        absolute_timeout=timedelta(days=2),
    )
    return (await deployment.services.issuing.issue(order)).session


async def sweep(deployment: TestDeployment, *, limit: int = 200) -> int:
    """Go round once; return how many went."""
    removed, finished = 0, False
    while not finished:
        swept = await deployment.services.stale_subjects.sweep(KEPT_FOR, limit=limit)
        removed, finished = removed + swept.removed, swept.finished
    return removed


async def purge_sessions(deployment: TestDeployment) -> None:
    """Remove what ended more than a week ago."""
    now, rules = deployment.clock.now(), PurgeRules()
    await deployment.services.store.purge(
        ended_before=now - rules.ended_sessions // timedelta(milliseconds=1), due_before=now, limit=1000
    )


async def is_there(deployment: TestDeployment, subject: str = "visitor") -> bool:
    return await deployment.services.subjects.get(DEFAULT_PROJECT, SubjectId(subject)) is not None


async def test_a_visitor_stays_until_the_last_session_is_over_for_long_enough(
    deployment: TestDeployment,
) -> None:
    await visitor(deployment)
    stayed = []
    for days in (1, 2, 28):
        deployment.clock.advance(days=days)
        await purge_sessions(deployment)
        stayed.append(await sweep(deployment) == 0)
    deployment.clock.advance(days=1)

    assert stayed == [True, True, True]
    assert await sweep(deployment) == 1
    assert not await is_there(deployment)
    events = [event for _, event in await deployment.services.store.events(after=0, limit=100)]
    assert (events[-1].type, events[-1].by) == (EventType.SUBJECT_DELETED, "sessiond")


async def test_what_was_not_looked_at_while_its_sessions_were_kept_waits_from_then_on(
    deployment: TestDeployment,
) -> None:
    await visitor(deployment)
    deployment.clock.advance(days=300)
    await purge_sessions(deployment)

    went = [await sweep(deployment)]
    deployment.clock.advance(days=29)
    went.append(await sweep(deployment))
    deployment.clock.advance(days=1)
    went.append(await sweep(deployment))

    assert went == [0, 0, 1]


async def test_who_comes_back_in_time_stays(deployment: TestDeployment) -> None:
    await visitor(deployment)
    deployment.clock.advance(days=20)
    await sweep(deployment)
    await visitor(deployment)
    deployment.clock.advance(days=20)

    assert await sweep(deployment) == 0
    deployment.clock.advance(days=12)
    assert await sweep(deployment) == 1


async def test_users_and_who_is_disabled_stay(deployment: TestDeployment) -> None:
    session = await deployment.issue()
    await deployment.services.sessions.revoke(session, reason="r", by=BY)
    banned = await visitor(deployment, "banned")
    await deployment.services.subjects.disable(DEFAULT_PROJECT, banned.subject, by=BY)
    deployment.clock.advance(days=300)

    assert await sweep(deployment) == 0
    assert await is_there(deployment, ALICE)


async def test_for_whom_something_else_is_kept_stays(deployment: TestDeployment) -> None:
    session = await visitor(deployment)
    new = NewToken(user=session.subject, token=Secret("t"), expires_at=NOON + 10**12)
    await deployment.services.vault.save(APP, new)
    deployment.clock.advance(days=300)

    assert await sweep(deployment) == 0


async def test_a_device_stays_while_the_session_lives_that_it_was_linked_to(
    deployment: TestDeployment,
) -> None:
    device, _ = await deployment.services.devices.open_session(PUBLIC, DEVICE, Client())
    deployment.clock.advance(days=29)
    await deployment.services.linking.link(APP, device.id, ALICE)
    deployment.clock.advance(days=29)
    await purge_sessions(deployment)
    deployment.clock.advance(hours=23)

    assert await sweep(deployment) == 0
    deployment.clock.advance(days=61)
    await sweep(deployment)
    deployment.clock.advance(days=30)
    assert await sweep(deployment) == 1
    again, _ = await deployment.services.devices.open_session(PUBLIC, DEVICE, Client())
    assert again.subject == device.subject


async def test_a_round_goes_through_all_projects_a_few_at_a_time(deployment: TestDeployment) -> None:
    other = (await deployment.services.projects.add("other", by=BY)).id
    for n in range(5):
        for project in (DEFAULT_PROJECT, other):
            await visitor(deployment, f"visitor-{n}", project=project)
    deployment.clock.advance(days=32)

    assert await sweep(deployment, limit=2) == 10


class MeetsASignIn:
    """A store in which the subject signs in just before it is removed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.deployment: TestDeployment | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the store has
        return getattr(self._store, name)

    async def apply(self, change: Any) -> None:  # noqa: ANN401
        deployment, self.deployment = self.deployment, None if change.deletes else self.deployment
        if change.deletes and deployment is not None:
            await visitor(deployment)
        await self._store.apply(change)


async def test_a_sign_in_at_the_same_moment_wins() -> None:
    store = MeetsASignIn(await open_store("memory://", role=Role.SERVER))
    deployment = await TestDeployment.born(store=store)
    await visitor(deployment)
    deployment.clock.advance(days=32)
    store.deployment = deployment

    assert await sweep(deployment) == 0

    live = await deployment.services.sessions.list_live(DEFAULT_PROJECT, SubjectId("visitor"))
    assert len(live) == 1


async def test_sign_ins_and_purges_at_once_leave_no_session_of_nobody(deployment: TestDeployment) -> None:
    await visitor(deployment)
    deployment.clock.advance(days=32)

    results = await asyncio.gather(sweep(deployment), *(visitor(deployment) for _ in range(10)))

    sessions = results[1:]
    live = await deployment.services.sessions.list_live(DEFAULT_PROJECT, SubjectId("visitor"))
    assert {each.id for each in live} == {each.id for each in sessions if isinstance(each, Session)}
