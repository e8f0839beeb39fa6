"""Who attacks a running server, over TCP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.oauth_calls import Calls
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def calls(http: httpx.Client, server: ServerProcess) -> Calls:
    return Calls(http, server)
