"""A deployment that the growth bench wrote is one that the server would have made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.loading import CROWD, CROWD_SESSIONS, Loaded, fill, open_at
from sessiond.bootstrap.opening import Opened
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import millis
from sessiond.domain.refresh import Verdict

LIVE, ENDED = 1_200, 300


@pytest.fixture
async def loaded(tmp_path: Path) -> Loaded:
    return await fill(tmp_path / "data", LIVE, ended=ENDED)


@pytest.fixture
async def opened(loaded: Loaded) -> AsyncIterator[Opened]:
    opened = await open_at(loaded.data)
    yield opened
    await opened.close()


async def test_its_tokens_are_of_the_sessions_that_it_names(loaded: Loaded, opened: Opened) -> None:
    sessions = opened.services.sessions

    assert len(loaded.subjects) == len(loaded.access_tokens) == len(loaded.refresh_tokens) == LIVE
    for subject, access, refresh in zip(
        loaded.subjects[:50], loaded.access_tokens, loaded.refresh_tokens, strict=False
    ):
        assert (await sessions.verify(access)).session.subject == subject
        judged = await sessions.judge_refresh(refresh)
        assert (judged.standing.session.subject, judged.verdict) == (subject, Verdict.ROTATED)


async def test_what_has_ended_may_be_purged_and_nothing_else(opened: Opened) -> None:
    now, kept = opened.clock.now(), opened.settings.purge.ended_sessions

    purged = await opened.store.purge(ended_before=now - millis(kept), due_before=now, limit=LIVE + ENDED)

    assert purged == ENDED
    assert len(await opened.services.sessions.list_live(DEFAULT_PROJECT, CROWD)) == CROWD_SESSIONS
