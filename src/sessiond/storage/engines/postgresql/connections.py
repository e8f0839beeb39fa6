"""A small pool of connections, each used for one statement at a time and never inside a transaction.

Every call is a single statement, which is a transaction of its own. So nothing holds a lock while it waits for us, and
a pooler between us and the database may hand each statement to another of its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from sessiond.storage.engine import unavailable
from sessiond.storage.engines.postgresql.failures import (
    FAILURES,
    ends_connection,
    is_of_values,
    may_repeat,
    refused,
)
from sessiond.storage.engines.postgresql.url import Address

MOST_ALONE = 6
CONNECT_SECONDS = 5.0
WAIT_SECONDS = 10.0
STATEMENT_SECONDS = 10.0
UNREAD_SECONDS = 5.0
IDLE_SECONDS = 60.0
ATTEMPTS = 3

_SETTINGS = {
    "application_name": "sessiond",
    "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS:.0f}s",
    # A node that was stopped, or cut off, in the middle of a long answer to a write holds its partitions as long as the
    # server waits for it to be read, which no limit of a statement ends.
    "tcp_user_timeout": f"{UNREAD_SECONDS:.0f}s",
    "jit": "off",
}

Welcome = Callable[[asyncpg.Connection], Awaitable[None]]
Rows = Sequence[Any]


async def connect(address: Address) -> asyncpg.Connection:
    """Return a connection to the primary that *address* names; raises what the driver does."""
    options: dict[str, Any] = {"server_settings": _SETTINGS}
    if not address.prepared:
        # A pooler in its transaction mode knows neither our prepared statements nor most settings of a start.
        options = {"server_settings": {"application_name": "sessiond"}, "statement_cache_size": 0}
    return await asyncpg.connect(
        address.dsn,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS + 1,  # the server's own limit comes first, and says more
        target_session_attrs="primary",
        max_cached_statement_lifetime=0,
        **options,
    )


class Connections:
    """Connections, made when they are needed. *welcome* looks at each new one before it is used.

    Batches, of which there is one at a time of each kind, never wait for one; `MOST_ALONE` others share the rest.
    """

    def __init__(self, address: Address, *, welcome: Welcome) -> None:
        self._address = address
        self._welcome = welcome
        self._alone = asyncio.Semaphore(MOST_ALONE)
        # With when each was given back, the last one at the end: it is the next to be used.
        self._idle: list[tuple[float, asyncpg.Connection]] = []
        self._warned: set[asyncpg.Connection] = set()
        self._closed = False

    async def fetch_alone(self, sql: str, *values: object) -> Rows:
        """Return the rows of one statement that may be run twice, once a place is free for it.

        Raises `Unavailable`, also when none is free for long.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._alone.acquire()
        except TimeoutError as error:
            raise unavailable("all its connections are in use") from error
        try:
            return await self.fetch(sql, *values, repeatable=True)
        finally:
            self._alone.release()

    async def fetch(self, sql: str, *values: object, repeatable: bool) -> Rows:
        """Return the rows of one statement.

        What the server says it rolled back is tried again. After a lost connection only what is *repeatable* is: a
        write may have been committed, and trying again would answer something else. Raises `Unavailable`, or the
        driver's error for values that cannot be stored.
        """
        attempt = 0
        while True:
            attempt += 1
            connection = await self._take()
            try:
                return await self._run(connection, sql, values)
            except FAILURES as error:
                if is_of_values(error):
                    raise
                if attempt == ATTEMPTS or not may_repeat(error, repeatable=repeatable):
                    raise refused(error) from error

    async def apart(self) -> asyncpg.Connection:
        """Return a new connection that is nobody else's; raises what the driver does."""
        return await self._connect()

    async def close(self) -> None:
        """Let go of every connection. What is in use ends with its statement."""
        self._closed = True
        idle, self._idle = self._idle, []
        for _, connection in idle:
            await _close(connection)

    async def _take(self) -> asyncpg.Connection:
        """Return a connection that is open, a new one where none is idle. Raises `Unavailable`."""
        if self._closed:
            raise unavailable("it was closed")
        while self._idle:
            since, connection = self._idle.pop()
            if self._is_fresh(since) and not connection.is_closed():
                return connection
            connection.terminate()
        try:
            return await self._connect()
        except FAILURES as error:
            raise refused(error) from error

    async def _connect(self) -> asyncpg.Connection:
        connection = await connect(self._address)
        try:
            await self._welcome(connection)
        except BaseException:
            connection.terminate()
            raise
        connection.add_log_listener(self._note)
        return connection

    async def _run(self, connection: asyncpg.Connection, sql: str, values: Sequence[object]) -> Rows:
        sound = False
        try:
            rows: Rows = await connection.fetch(sql, *values)
            sound = connection not in self._warned
        except asyncio.CancelledError:
            sound = True  # the driver cancels the statement, and waits for that before the next
            raise
        except asyncpg.PostgresError as error:
            sound = not ends_connection(error)
            raise
        finally:
            self._give_back(connection, sound=sound)
        if not sound:
            # Somebody cancelled a commit while it waited for the standby: it is on the primary alone.
            raise unavailable("what was written may not have reached the standby")
        return rows

    def _give_back(self, connection: asyncpg.Connection, *, sound: bool) -> None:
        if sound and not self._closed:
            self._idle.append((asyncio.get_running_loop().time(), connection))
            if not self._is_fresh(self._idle[0][0]):
                self._idle.pop(0)[1].terminate()
        else:
            self._warned.discard(connection)
            connection.terminate()

    @staticmethod
    def _is_fresh(since: float) -> bool:
        """Tell whether a connection that is idle since then may be used: a firewall may have dropped an old one."""
        return asyncio.get_running_loop().time() - since < IDLE_SECONDS

    def _note(self, connection: Any, message: Any) -> None:  # noqa: ANN401  the driver's types are not known
        if message.severity_en == "WARNING":
            self._warned.add(connection)


async def _close(connection: asyncpg.Connection) -> None:
    with contextlib.suppress(*FAILURES):
        await connection.close(timeout=1)
