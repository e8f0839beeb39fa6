"""The horizon: up to which sequence no event can come any more, so that who follows need not look below.

Sequences are drawn in one order and committed in another. A transaction draws them once it has locked its partitions,
so once it has an id, and ids are given in one order, too: whoever drew a sequence below one that was read by then has a
lower id than the one that is given now. When all transactions of lower ids have ended, what they wrote can be read.

Ids rise. One below another that was given before it is of a copy of the database, of which nothing is known yet.
"""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.domain.events import Event
from sessiond.storage.engines.postgresql.connections import Connections

_LOOK = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_current_xact_id()::text::bigint
WHERE {schema}.primary_only()
"""


class Horizon:
    """What is known of one database, by looking again and again."""

    def __init__(self, connections: Connections, schema: str) -> None:
        self._connections = connections
        self._look = _LOOK.format(schema=schema)
        self._settled = 0
        self._read = 0
        self._given = 0
        self._awaited: tuple[int, int] | None = None

    def saw(self, told: Sequence[tuple[int, Event]]) -> None:
        """Take note of events that were read, in the order of their sequence."""
        if told:
            self._read = max(self._read, told[-1][0])

    async def settled(self) -> int:
        """Return the sequence up to which whoever reads from now on sees every event that there will ever be."""
        read, given = self._read, self._given
        ((oldest, newest),) = await self._connections.fetch_alone(self._look)
        if newest < given:
            read = self._read = self._settled = 0
            self._awaited = None
        self._given = newest
        if self._awaited is not None and oldest >= self._awaited[1]:
            self._settled = max(self._settled, self._awaited[0])
            self._awaited = None
        if self._awaited is None and read > self._settled:
            self._awaited = (read, newest)
        return self._settled
