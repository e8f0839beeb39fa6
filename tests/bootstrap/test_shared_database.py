"""Nodes with directories of their own on one PostgreSQL database: keys, witnesses and first starts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sessiond.bootstrap.opening import Opened, open_deployment, settle_server
from sessiond.bootstrap.tools import tools
from sessiond.config.loading import Loaded, load
from sessiond.config.secrets import encode_key
from sessiond.domain.errors import Misconfigured
from sessiond.domain.initiators import Initiator
from sessiond.domain.startup import Start
from sessiond.storage.engine import Role
from tests.servers.postgresql import PostgresqlServer

KEY = encode_key(bytes(range(32)))
OTHER_KEY = encode_key(bytes(range(1, 33)))


class Node:
    """One machine: a data directory, and the database that it shares."""

    def __init__(self, data_dir: Path, database: str, *, key: str | None = KEY) -> None:
        self.secrets = data_dir / "secrets"
        self._flags = {"data_dir": str(data_dir), "database": database}
        self._environ = {"SESSIOND_KEY": key} if key is not None else {}

    def loaded(self) -> Loaded:
        return load(environ=dict(self._environ), flags=dict(self._flags))

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Opened]:
        opened = await open_deployment(self.loaded(), Role.SERVER)
        try:
            await settle_server(opened, lambda _: None)
            yield opened
        finally:
            await opened.close()

    async def start(self) -> Start:
        async with self.served() as opened:
            return opened.start


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.url()


@pytest.fixture
def one(tmp_path: Path, url: str) -> Node:
    return Node(tmp_path / "one", url)


@pytest.fixture
def other(tmp_path: Path, url: str) -> Node:
    return Node(tmp_path / "other", url)


async def test_two_servers_serve_one_installation_at_once(one: Node, other: Node) -> None:
    async with one.served() as first, other.served() as second:
        assert (first.start, second.start) == (Start.FIRST, Start.UNWITNESSED)
        assert await second.services.server_keys.find((one.secrets / "server-key").read_text().strip())
    assert (await one.start(), await other.start()) == (Start.ORDINARY, Start.ORDINARY)


async def test_a_node_without_the_wrapping_key_is_refused(one: Node, tmp_path: Path, url: str) -> None:
    await one.start()

    with pytest.raises(Misconfigured, match="its wrapping key is not in"):
        await Node(tmp_path / "keyless", url, key=None).start()
    with pytest.raises(Misconfigured, match="does not open the key ring"):
        await Node(tmp_path / "wrong", url, key=OTHER_KEY).start()


async def test_the_database_s_password_is_in_no_sentence_of_a_start(
    one: Node, tmp_path: Path, url: str, postgresql: PostgresqlServer
) -> None:
    await one.start()

    with pytest.raises(Misconfigured) as refusal:
        await Node(tmp_path / "wrong", url, key=OTHER_KEY).start()

    assert "postgresql://sessiond:…@" in str(refusal.value)
    assert postgresql.password not in str(refusal.value)


async def test_a_recovery_on_one_node_ends_no_later_session_when_the_other_starts_again(
    one: Node, other: Node
) -> None:
    await one.start()
    await other.start()
    async with tools(one.loaded(), recovers=True) as opened:
        recovered = await opened.services.recovery.recover(by=Initiator("cli"), reason="test")

    async with other.served() as opened:
        assert opened.start is Start.ORDINARY
        assert opened.services.keys.deployment.epoch == recovered.epoch


async def test_of_first_starts_at_the_same_moment_one_makes_the_installation_and_the_other_leaves_no_secret(
    one: Node, other: Node
) -> None:
    outcomes = await asyncio.gather(one.start(), other.start(), return_exceptions=True)

    made = [node for node, outcome in zip((one, other), outcomes, strict=True) if outcome is Start.FIRST]
    for node, outcome in zip((one, other), outcomes, strict=True):
        if node not in made:
            assert outcome is Start.UNWITNESSED or isinstance(outcome, Misconfigured)
            assert not (node.secrets / "server-key").exists()
            assert not (node.secrets / "master-token").exists()
    assert len(made) == 1
    assert {await one.start(), await other.start()} <= {Start.ORDINARY, Start.UNWITNESSED}
