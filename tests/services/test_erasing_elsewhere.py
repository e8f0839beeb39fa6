"""Erasing on engines that nodes share: each partition has a sequence of its own, and pages come from many places."""

from __future__ import annotations

import pytest

from sessiond.domain.callers import OperatorCaller
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.session_filters import Filter, State
from sessiond.storage.engine import Role
from sessiond.storage.open import open_store
from tests.services.test_erasing import ANNA, NAMES, House

OPERATOR = OperatorCaller(project=DEFAULT_PROJECT)
EVERYTHING = Filter(state=State.ALL)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("engine", ["postgresql", "redis_server", "redis_cluster"])
async def test_nothing_that_is_kept_names_the_erased(engine: str, request: pytest.FixtureRequest) -> None:
    store = await open_store(request.getfixturevalue(engine).url(), role=Role.SERVER)
    house = await House.furnished(store)
    assert await house.traces() == NAMES

    await house.erase()
    await house.erase()

    assert await house.traces() == []
    pseudonym = house.services.erasing.pseudonym(DEFAULT_PROJECT, ANNA)
    told = [event.type for event in await house.events() if event.subject == pseudonym]
    assert told.count(EventType.SUBJECT_ERASED) == 1
    assert (await house.services.listing.page(OPERATOR, EVERYTHING, limit=50))[0]
    await store.close()
