from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sessiond.domain.errors import NotFound, StateConflict
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.initiators import Initiator
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from tests.deployment import BY, TestDeployment


async def test_a_key_is_revoked_by_its_id_among_others_of_its_name(deployment: TestDeployment) -> None:
    keys = deployment.services.server_keys
    meant, _ = await keys.add(DEFAULT_PROJECT, "app", by=BY)
    other, other_text = await keys.add(DEFAULT_PROJECT, "app", by=BY)

    assert (await keys.revoke(DEFAULT_PROJECT, meant.id, by=BY)).id == meant.id
    assert await keys.find(other_text.reveal()) == other


async def test_a_name_of_several_live_keys_revokes_none(deployment: TestDeployment) -> None:
    keys = deployment.services.server_keys
    old, old_text = await keys.add(DEFAULT_PROJECT, "app", by=BY)
    new, new_text = await keys.add(DEFAULT_PROJECT, "app", by=BY)

    with pytest.raises(StateConflict, match="server_key_ambiguous"):
        await keys.revoke(DEFAULT_PROJECT, "app", by=BY)

    assert await keys.find(old_text.reveal()) == old
    await keys.revoke(DEFAULT_PROJECT, old.id, by=BY)
    assert (await keys.revoke(DEFAULT_PROJECT, "app", by=BY)).id == new.id
    assert await keys.find(new_text.reveal()) is None


async def test_a_key_that_is_revoked_stays_so_and_an_unknown_one_is_refused(
    deployment: TestDeployment,
) -> None:
    keys = deployment.services.server_keys
    await keys.add(DEFAULT_PROJECT, "app", by=BY)

    first = await keys.revoke(DEFAULT_PROJECT, "app", by=BY)

    assert await keys.revoke(DEFAULT_PROJECT, "app", by=BY) == first
    with pytest.raises(NotFound, match="server_key_unknown"):
        await keys.revoke(DEFAULT_PROJECT, "nobody's", by=BY)


async def test_a_key_that_is_revoked_twice_at_once_is_revoked_once(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/test.db", role=Role.SERVER)
    keys = (await TestDeployment.born(store=store)).services.server_keys
    await keys.add(DEFAULT_PROJECT, "app", by=BY)

    first, second = await asyncio.gather(
        *(keys.revoke(DEFAULT_PROJECT, "app", by=Initiator(who)) for who in ("anna", "bert"))
    )

    told = [event.type for _, event in await store.events(after=0, limit=100)]
    assert first == second
    assert told.count(EventType.SERVER_KEY_REVOKED) == 1
    await store.close()


async def test_the_oldest_of_very_many_keys_can_be_revoked(deployment: TestDeployment) -> None:
    keys = deployment.services.server_keys
    _, text = await keys.add(DEFAULT_PROJECT, "oldest", by=BY)
    deployment.clock.advance(seconds=1)
    for number in range(1001):
        await keys.add(DEFAULT_PROJECT, f"app-{number}", by=BY)

    await keys.revoke(DEFAULT_PROJECT, "oldest", by=BY)

    assert await keys.find(text.reveal()) is None
