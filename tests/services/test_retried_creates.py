"""Creates with an `Idempotency-Key`: one session, whatever is retried, for 24 hours, and no token kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from sessiond.domain.errors import StateConflict
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.policies import OnLimit, Policy
from sessiond.domain.records import Kind
from sessiond.domain.replays import Replay
from sessiond.domain.rules import Rules
from sessiond.domain.sessions import Session, SessionKind
from sessiond.domain.subjects import SubjectKind
from sessiond.services.orders import Order
from sessiond.services.ports import Selection
from sessiond.services.token_forms import Form
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import ALICE, BY, TestDeployment

ORDER = Order(
    project=DEFAULT_PROJECT,
    subject=ALICE,
    session_kind=SessionKind.TOKENS,
    by=BY,
    create=SubjectKind.USER,
    rotates=True,
    idempotency_key="the-key",
    asked=b"the request",
)


async def remembered(deployment: TestDeployment) -> list[Replay]:
    rows = await deployment.services.store.scan(Selection(kind=Kind.REPLAY), limit=10)
    return [row for row in rows if isinstance(row, Replay)]


async def test_eight_at_once_make_one_session(deployment: TestDeployment) -> None:
    issued = await asyncio.gather(*(deployment.services.issuing.issue(ORDER) for _ in range(8)))

    assert len({each.session.id for each in issued}) == 1
    assert [each.fresh for each in issued].count(True) == 1
    assert await deployment.services.store.count(Selection(kind=Kind.SESSION)) == 1


async def test_a_key_is_forgotten_after_a_day(deployment: TestDeployment) -> None:
    first = await deployment.services.issuing.issue(ORDER)

    deployment.clock.advance(hours=24, seconds=-1)
    again = await deployment.services.issuing.issue(ORDER)
    deployment.clock.advance(seconds=1)
    anew = await deployment.services.issuing.issue(ORDER)

    assert again.session.id == first.session.id != anew.session.id


async def test_nothing_that_is_remembered_holds_the_key_or_a_token(deployment: TestDeployment) -> None:
    session = (await deployment.services.issuing.issue(ORDER)).session

    records = await remembered(deployment)

    texts = b"".join(msgspec.json.encode(record) for record in records)
    assert len(records) == 2
    assert b"the-key" not in texts
    assert b"the request" not in texts
    assert deployment.refresh_token(session).encode() not in texts


async def test_after_a_refresh_the_first_answer_is_gone(deployment: TestDeployment) -> None:
    session = (await deployment.services.issuing.issue(ORDER)).session
    await deployment.services.sessions.refresh(deployment.refresh_token(session), Form.REFRESH)

    with pytest.raises(StateConflict) as refusal:
        await deployment.services.issuing.issue(ORDER)

    assert refusal.value.code == "replay_superseded"


async def test_a_retry_does_not_give_a_disabled_subject_its_session_back(deployment: TestDeployment) -> None:
    await deployment.services.issuing.issue(ORDER)
    await deployment.services.subjects.disable(DEFAULT_PROJECT, ALICE, by=BY)

    with pytest.raises(StateConflict):
        await deployment.services.issuing.issue(ORDER)


class Beside(MemoryStore):
    """A store in which something else happens just before sessions are listed next."""

    before: Callable[[], Awaitable[object]] | None = None

    async def list_by_subject(self, *args: Any, **options: Any) -> Sequence[Session]:  # noqa: ANN401  as the port's
        before, self.before = self.before, None
        if before is not None:
            await before()
        return await super().list_by_subject(*args, **options)


async def test_a_retry_that_finds_the_place_taken_by_the_first_gets_the_same_session() -> None:
    store, rules = Beside(), Rules(policy=Policy(max_sessions=1, on_limit=OnLimit.DENY))
    here = await TestDeployment.born(rules, store=store)
    there = await TestDeployment.born(rules, store=store, seed="there")
    await here.services.subjects.create(DEFAULT_PROJECT, ALICE, by=BY)
    first: list[Session] = []

    async def meanwhile() -> None:
        first.append((await there.services.issuing.issue(ORDER)).session)

    store.before = meanwhile
    retried = await here.services.issuing.issue(ORDER)

    assert first == [retried.session]
