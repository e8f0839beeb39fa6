"""Decoded control records are kept in a bounded number, and whoever asks while it is reached is answered."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec

from sessiond.domain.ids import ProjectId
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from sessiond.storage.engines.sqlite.reads import MOST_CONTROL_RECORDS
from sessiond.testing import samples


async def test_a_session_is_found_though_no_more_control_records_are_kept(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/test.db", role=Role.SERVER, cache_records=0)
    plain, deployment = samples.project(), samples.deployment()
    ids = [ProjectId(str(UUID(int=n, version=4))) for n in range(MOST_CONTROL_RECORDS - 4)]
    sessions = [samples.session(project=each) for each in ids]
    await store.apply(samples.put(deployment, *(msgspec.structs.replace(plain, id=each) for each in ids)))
    await store.apply(samples.put(*sessions))
    for each in sessions:
        await store.find_session(each.project, each.id)

    for version in range(2, 10):
        deployment = msgspec.structs.replace(deployment, version=version)
        await store.apply(samples.put(deployment))
        found = await store.find_session(ids[0], sessions[0].id)

        assert found is not None
        assert found.project is not None
        assert found.deployment == deployment
    await store.close()
