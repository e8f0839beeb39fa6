"""The feed of changes: LISTEN on a connection of its own, with heartbeats that go through the database and come back.

Notifications come in the order of commits, over all channels of a database, and each no sooner than its change can be
read. So a heartbeat that comes back shows that every change that was acknowledged before it was sent has been told.
"""

from __future__ import annotations

import asyncio
import binascii
import secrets
from collections.abc import Awaitable, Callable

import asyncpg

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, id_text
from sessiond.domain.records import Kind
from sessiond.storage.bounded_memory import BoundedMemory, follow_again_and_again
from sessiond.storage.engines.postgresql.failures import FAILURES, meaning

_ID_TEXT = 24
_PROJECT_TEXT = 32
_NONE = ("", float("-inf"))
_KINDS = {"u": Kind.SUBJECT, "p": Kind.PROJECT, "d": Kind.DEPLOYMENT}


class Feed:
    """Follows the changes of one namespace for *memory*, again and again; *connect* gives a connection of its own."""

    def __init__(
        self, namespace: str, memory: BoundedMemory, connect: Callable[[], Awaitable[asyncpg.Connection]]
    ) -> None:
        self._schema = f'"{namespace}"'
        self._changes = f"{namespace}.feed"
        self._beats = f"sessiond.{secrets.token_hex(8)}"  # this node's own
        self._memory = memory
        self._connect = connect
        self._number = 0
        self._sent = _NONE
        following = follow_again_and_again(self._follow, _why)
        self._task = asyncio.create_task(following, name="change feed")

    async def close(self) -> None:
        """Follow no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        """Follow the changes until the connection fails."""
        connection = await self._connect()
        try:
            await connection.execute(f"SELECT {self._schema}.open_feed()")
            await connection.add_listener(self._changes, self._changed)
            await connection.add_listener(self._beats, self._came_back)
            while True:
                await self._beat(connection)
                await asyncio.sleep(self._memory.pause)
        finally:
            self._memory.lose()
            self._sent = _NONE  # what this connection still hands on must not be taken for the next one's
            connection.terminate()

    async def _beat(self, connection: asyncpg.Connection) -> None:
        self._number += 1
        name = str(self._number)
        self._sent = name, self._memory.monotonic()
        await connection.execute("SELECT pg_notify($1, $2)", self._beats, name, timeout=self._memory.patience)

    def _came_back(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        name, sent_at = self._sent
        if payload == name:
            self._memory.heard(sent_at)

    def _changed(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        """Drop what a notification names; one that cannot be read may have named anything."""
        try:
            self._drop(payload)
        except (KeyError, ValueError):
            self._memory.lose()

    def _drop(self, payload: str) -> None:
        told = payload[1:]
        if payload[0] == "s":
            for start in range(0, len(told), _ID_TEXT):
                identifier = binascii.a2b_base64(told[start : start + _ID_TEXT], strict_mode=True)
                self._memory.drop(Kind.SESSION, DEFAULT_PROJECT, identifier)
            return
        project = ProjectId(id_text(bytes.fromhex(told[:_PROJECT_TEXT])))
        self._memory.drop(_KINDS[payload[0]], project, bytes.fromhex(told[_PROJECT_TEXT:]))


def _why(error: Exception) -> str | None:
    if isinstance(error, Unavailable):
        return error.detail
    return meaning(error) if isinstance(error, FAILURES) else None
