"""A vault for each test."""

from __future__ import annotations

import pytest

from tests.deployment import TestDeployment
from tests.services.vault.storage import RacingStore, Storage


@pytest.fixture
async def storage() -> Storage:
    """A vault over a fresh memory engine."""
    return Storage(await TestDeployment.born(store=RacingStore()))
