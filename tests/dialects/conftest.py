"""Clients of the real server for the dialects' tests, and what several of them find there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.dialects.oauth_calls import Calls, another_project
from tests.dialects.stack_calls import Headers, Stack
from tests.server_process import MASTER_TOKEN, ServerProcess
from tests.till import with_user


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """Return a client without a credential of its own."""
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def oauth(http: httpx.Client, server: ServerProcess) -> Calls:
    """Return a client of the OAuth endpoints."""
    return Calls(http, server)


@pytest.fixture(scope="module")
def stack(server: ServerProcess) -> Iterator[Stack]:
    """Return a client of the module's server that speaks Stack Auth."""
    with httpx.Client(base_url=server.url) as http:
        yield Stack(http)


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Headers:
    """Return an operator session's credential."""
    issued = stack.http.post("/api/auth/session", headers={"Authorization": f"Bearer {MASTER_TOKEN}"})
    return {"Authorization": f"Bearer {issued.json()['session_token']}"}


@pytest.fixture(scope="module")
def other_project(server: ServerProcess) -> tuple[str, str]:
    """Return the id and a server key of a second project."""
    return another_project(server)


@pytest.fixture(scope="module")
def till(server: ServerProcess) -> ServerProcess:
    """Return the module's server, with a user who has a PIN."""
    return with_user(server)
