"""Clients of the real server for the dialects' tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.stack_calls import Stack
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def stack(server: ServerProcess) -> Iterator[Stack]:
    """Return a client of the module's server that speaks Stack Auth."""
    with httpx.Client(base_url=server.url) as http:
        yield Stack(http)
