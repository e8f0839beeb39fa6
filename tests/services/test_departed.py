"""A node on a database that was left: nothing passes and nothing is written, and each refusal says why."""

from __future__ import annotations

from typing import cast

import pytest

from sessiond.domain.errors import Unavailable
from sessiond.domain.sessions import Session
from sessiond.services.movable import MovableStore
from sessiond.services.moving import Mover
from sessiond.services.token_forms import Form
from sessiond.storage.engines.memory import MemoryStore
from tests.deployment import MASTER_TOKEN, SERVER_KEY, TestDeployment


@pytest.fixture
async def deployment() -> TestDeployment:
    return await TestDeployment.born()


async def leave(deployment: TestDeployment) -> None:
    store = cast("MovableStore", deployment.services.store)
    await Mover(store, MemoryStore(), deployment.clock, lambda _: None).switch("redis://elsewhere")


@pytest.fixture
async def session(deployment: TestDeployment) -> Session:
    return await deployment.issue()


async def test_no_access_token_passes(deployment: TestDeployment, session: Session) -> None:
    token = deployment.access_token(session)
    sessions = deployment.services.sessions
    assert sessions.peek(token) is not None

    await leave(deployment)

    assert sessions.peek(token) is None
    with pytest.raises(Unavailable, match="moved to another database"):
        await sessions.verify(token)


async def test_no_refresh_token_passes_not_even_as_a_twin(
    deployment: TestDeployment, session: Session
) -> None:
    first = deployment.refresh_token(session)
    await deployment.services.sessions.refresh(first, Form.REFRESH)

    await leave(deployment)

    with pytest.raises(Unavailable, match="moved to another database"):
        await deployment.services.sessions.refresh(first, Form.REFRESH)


async def test_no_server_key_passes_once_the_node_has_heard_of_it(deployment: TestDeployment) -> None:
    await leave(deployment)
    with pytest.raises(Unavailable):
        await deployment.services.keys.reload(at_once=True)

    with pytest.raises(Unavailable, match="moved to another database"):
        await deployment.services.credentials.by_server_key(SERVER_KEY, project=None, address=None)


async def test_no_master_token_passes(deployment: TestDeployment) -> None:
    await leave(deployment)

    with pytest.raises(Unavailable, match="moved to another database"):
        await deployment.services.credentials.by_master_token(MASTER_TOKEN, project=None, address=None)


async def test_no_session_is_issued(deployment: TestDeployment) -> None:
    await leave(deployment)

    with pytest.raises(Unavailable, match="moved to another database"):
        await deployment.issue()
