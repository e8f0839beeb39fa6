"""Peeking, the way of most verifies: it remembers what it admitted, and must never be more lenient than a verify."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from sessiond.crypto.ring import KeyRing
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.policies import Policy
from sessiond.domain.rules import Rules
from sessiond.services.ports import Change, Store
from sessiond.services.token_forms import Form
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.crypto.material import with_new_root
from tests.deployment import CountedEntropy, TestDeployment


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """The engine that keeps standings: only there does a peek find the same one again."""
    store = await open_store(f"sqlite:///{tmp_path / 'sessiond.db'}", role=Role.SERVER)
    yield store
    await store.close()


@pytest.fixture
async def deployment(store: Store) -> TestDeployment:
    return await TestDeployment.born(store=store)


async def peekable(deployment: TestDeployment) -> str:
    """Return an access token that peeking answers from what it remembers."""
    token = deployment.access_token(await deployment.issue())
    await deployment.services.sessions.verify(token)
    assert deployment.services.sessions.peek(token) is not None
    assert deployment.services.sessions.peek(token) is not None
    return token


async def put_deployment(deployment: TestDeployment, ring: KeyRing) -> None:
    """Write *ring* as another process would: this one's keys are not told."""
    keys = deployment.services.keys
    renewed = msgspec.structs.replace(
        keys.deployment,
        ring=keys.seal(ring, CountedEntropy("another process")),
        ring_version=keys.deployment.ring_version + 1,
        version=keys.deployment.version + 1,
    )
    change = Change(
        partition=renewed.key.partition, expects={renewed.key: keys.deployment.version}, puts=[renewed]
    )
    await deployment.services.store.apply(change)


@pytest.mark.parametrize(
    ("policy", "minutes"),
    [
        (Policy(), 10),
        (Policy(absolute_timeout=timedelta(minutes=4)), 4),
        (Policy(idle_timeout=timedelta(minutes=3)), 3),
    ],
    ids=["the token's end", "the absolute limit", "the idle limit"],
)
async def test_a_remembered_answer_ends_when_time_ends_it(store: Store, policy: Policy, minutes: int) -> None:
    deployment = await TestDeployment.born(Rules(policy=policy), store=store)
    token = await peekable(deployment)

    deployment.clock.advance(minutes=minutes, milliseconds=-1)
    assert deployment.services.sessions.peek(token) is not None
    deployment.clock.advance(milliseconds=1)

    assert deployment.services.sessions.peek(token) is None


async def test_a_remembered_answer_of_the_previous_generation_ends_with_the_grace(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    await deployment.services.sessions.refresh(deployment.refresh_token(session), Form.REFRESH)
    await deployment.services.sessions.verify(token)
    assert deployment.services.sessions.peek(token) is not None

    deployment.clock.advance(seconds=29)
    assert deployment.services.sessions.peek(token) is not None
    deployment.clock.advance(seconds=1)

    assert deployment.services.sessions.peek(token) is None


async def test_a_remembered_answer_still_notes_last_use(deployment: TestDeployment) -> None:
    token = await peekable(deployment)

    deployment.clock.advance(seconds=60)
    deployment.services.sessions.peek(token)

    assert await deployment.services.touches.flush() == 1


async def test_a_token_that_was_peeked_is_counted_each_time(deployment: TestDeployment) -> None:
    await peekable(deployment)

    assert (deployment.observer["verify"], deployment.observer["verify_peeked"]) == (1, 2)


async def test_a_refresh_token_is_never_peeked(deployment: TestDeployment) -> None:
    token = deployment.refresh_token(await deployment.issue())

    assert deployment.services.sessions.peek(token) is None


async def test_a_key_that_another_process_marked_compromised_is_refused_at_once(
    deployment: TestDeployment,
) -> None:
    session = await deployment.issue()
    token = deployment.access_token(session)
    await deployment.services.sessions.verify(token)
    assert deployment.services.sessions.peek(token) is not None
    contents = deployment.services.keys.ring._contents  # noqa: SLF001
    roots = tuple(root.compromised(deployment.clock.now()) for root in contents.roots)

    await put_deployment(deployment, KeyRing(msgspec.structs.replace(contents, roots=roots)))

    assert deployment.services.sessions.peek(token) is None
    with pytest.raises(Unauthenticated) as refusal:
        await deployment.services.sessions.verify(token)
    assert refusal.value.code == "invalid_token"


async def test_a_refresh_by_a_key_that_another_process_marked_compromised_is_refused(
    deployment: TestDeployment,
) -> None:
    token = deployment.refresh_token(await deployment.issue())
    contents = deployment.services.keys.ring._contents  # noqa: SLF001
    roots = tuple(root.compromised(deployment.clock.now()) for root in contents.roots)

    await put_deployment(deployment, KeyRing(msgspec.structs.replace(contents, roots=roots)))

    with pytest.raises(Unauthenticated) as refusal:
        await deployment.services.sessions.refresh(token, Form.REFRESH)
    assert refusal.value.code == "invalid_token"


async def test_a_root_that_another_process_rotated_ends_nothing(deployment: TestDeployment) -> None:
    token = await peekable(deployment)
    keys = deployment.services.keys

    await put_deployment(
        deployment,
        with_new_root(keys.ring, DEFAULT_PROJECT, CountedEntropy("root"), deployment.clock.now()),
    )

    assert (await deployment.services.sessions.verify(token)).session.subject == "alice"
    assert deployment.services.sessions.peek(token) is not None
