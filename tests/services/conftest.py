"""A deployment for each test."""

from __future__ import annotations

import pytest

from tests.deployment import TestDeployment


@pytest.fixture
async def deployment() -> TestDeployment:
    """Services over a fresh memory engine."""
    return await TestDeployment.born()
