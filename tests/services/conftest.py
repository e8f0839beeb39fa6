"""A deployment for each test."""

from __future__ import annotations

import pytest

from sessiond.crypto import pins
from tests.deployment import TestDeployment
from tests.pin_door import Door
from tests.services.browsing import Browsing


@pytest.fixture
async def deployment() -> TestDeployment:
    """Services over a fresh memory engine."""
    return await TestDeployment.born()


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash PINs at Argon2's lowest price, for tests of who may try and when; what a try costs has its own."""
    monkeypatch.setattr("sessiond.crypto.pins._MEMORY_KIB", 8)
    monkeypatch.setattr("sessiond.crypto.pins._TIME_COST", 1)
    monkeypatch.setattr("sessiond.crypto.pins.DUMMY", pins.DUMMY.replace("m=19456,t=2", "m=8,t=1"))


@pytest.fixture
async def door(cheap_hashes: None) -> Door:
    """The door of a deployment where alice has a PIN."""
    return await Door.with_alice()


@pytest.fixture
async def browser(deployment: TestDeployment) -> Browsing:
    """A browser in which nobody is signed in."""
    return Browsing(deployment)
