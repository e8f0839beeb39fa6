from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sessiond.bootstrap.opening import Opened, open_deployment
from sessiond.config.loading import load
from sessiond.domain.errors import Unavailable
from sessiond.storage.engine import Role
from tests.deployment import BY


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    deployment = await open_deployment(
        load(environ={}, flags={"data_dir": str(tmp_path / "data")}), Role.SERVER
    )
    yield deployment
    await deployment.close()


def kept(opened: Opened) -> str:
    found = opened.files.read("master-token")
    assert found is not None
    return found.reveal()


async def test_a_rotation_replaces_the_kept_master_token(opened: Opened) -> None:
    former = kept(opened)

    secret = await opened.services.operators.rotate_master_token(by=BY)

    assert kept(opened) == secret.reveal() != former
    assert await opened.services.credentials.is_master(secret.reveal())
    assert not await opened.services.credentials.is_master(former)


async def test_a_master_token_that_cannot_be_kept_is_not_rotated(opened: Opened) -> None:
    former = kept(opened)
    shutil.rmtree(opened.files.directory)

    with pytest.raises(Unavailable, match="secrets_unwritable"):
        await opened.services.operators.rotate_master_token(by=BY)

    assert await opened.services.credentials.is_master(former)


async def test_of_two_rotations_at_once_the_last_is_kept(opened: Opened) -> None:
    rotate = opened.services.operators.rotate_master_token

    await asyncio.gather(*(rotate(by=BY) for _ in range(4)))

    assert await opened.services.credentials.is_master(kept(opened))
