"""Decoded control records are kept in a bounded number, and whoever asks while it is reached is answered."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from sessiond.domain.ids import ProjectId
from sessiond.domain.projects import Deployment
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.storage.engine import Role
from sessiond.storage.engines.sqlite import open_store
from sessiond.storage.engines.sqlite.reads import MOST_CONTROL_RECORDS
from sessiond.testing import samples
from tests.tracing import trace_statements


async def test_a_session_is_found_though_no_more_control_records_are_kept(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/test.db", role=Role.SERVER, cache_records=0)
    deployment = samples.deployment()
    first, *_ = await found_in_projects(store, deployment, MOST_CONTROL_RECORDS - 4)

    for version in range(2, 10):
        deployment = msgspec.structs.replace(deployment, version=version)
        await store.apply(samples.put(deployment))
        found = await store.find_session(first.project, first.id)

        assert found is not None
        assert found.project is not None
        assert found.deployment == deployment
    await store.close()


async def test_of_more_control_records_than_are_kept_the_first_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    trace_statements(monkeypatch, ran.append)
    store = await open_store(f"sqlite:///{tmp_path}/test.db", role=Role.SERVER, cache_records=0)
    first, *_, last = await found_in_projects(store, samples.deployment(), MOST_CONTROL_RECORDS + 4)

    ran.clear()
    await store.find_session(last.project, last.id)
    assert len(ran) == 1
    await store.find_session(first.project, first.id)
    assert len(ran) > 2
    await store.close()


async def found_in_projects(store: Store, deployment: Deployment, count: int) -> list[Session]:
    """Make so many projects with a session each, find those once, and return them."""
    plain = samples.project()
    ids = [ProjectId(str(UUID(int=n, version=4))) for n in range(count)]
    sessions = [samples.session(project=each) for each in ids]
    await store.apply(samples.put(deployment, *(msgspec.structs.replace(plain, id=each) for each in ids)))
    await store.apply(samples.put(*sessions))
    for each in sessions:
        await store.find_session(each.project, each.id)
    return sessions
