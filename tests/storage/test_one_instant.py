"""Several records are of one instant, also where memory knows one of them and the file has moved on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from sessiond.crypto.secrets import Secret
from sessiond.domain.ids import DEFAULT_PROJECT, SessionId
from sessiond.domain.pins import pin_key
from sessiond.domain.subjects import subject_key
from sessiond.services.ports import Change
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from tests.deployment import BY, TestDeployment

pytestmark = pytest.mark.slow

CHANGES = 300


async def test_records_that_change_together_are_read_together(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/test.db", role=Role.SERVER)
    services = (await TestDeployment.born(store=store)).services
    user = await services.pins.add_user(DEFAULT_PROJECT, "bob", Secret("2580"), by=BY)
    subject, pin = user.subject, user.pin
    keys = [
        subject_key(DEFAULT_PROJECT, subject.id, subject.partition),
        pin_key(DEFAULT_PROJECT, subject.id, subject.partition),
    ]
    writing = True

    async def change_both() -> None:
        nonlocal writing
        for version in range(2, CHANGES):
            puts = [msgspec.structs.replace(each, version=version) for each in (subject, pin)]
            await store.apply(
                Change(partition=subject.partition, expects=dict.fromkeys(keys, version - 1), puts=puts)
            )
        writing = False

    async def read_both() -> set[tuple[int, ...]]:
        seen = set()
        while writing:
            store.peek_session(DEFAULT_PROJECT, SessionId(bytes(16)))
            seen.add(tuple(each.version for each in await store.get_many(keys) if each is not None))
            await asyncio.sleep(0)
        return seen

    _, seen = await asyncio.gather(change_both(), read_both())

    assert [versions for versions in seen if len(set(versions)) != 1] == []
    await store.close()
