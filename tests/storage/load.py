"""Sessions that are opened and ended all over a Redis Cluster while something fails, and what must be left of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sessiond.domain.errors import Conflict, Unavailable
from sessiond.domain.ids import DEFAULT_PROJECT, PARTITIONS, Partition
from sessiond.domain.sessions import Session
from sessiond.services.ports import Store
from sessiond.testing import samples
from sessiond.testing.samples import NOW
from tests.progress import until
from tests.server_process import WITHIN_SECONDS

SPREAD = [Partition(n) for n in range(0, PARTITIONS, PARTITIONS // 48)]


def sessions_everywhere() -> list[Session]:
    return [samples.session(id=samples.session_id(NOW, partition)) for partition in SPREAD]


async def put_once_it_answers(store: Store, session: Session) -> None:
    """Put *session*, again and again while the store cannot answer; whatever else it raises is a failure."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            await store.apply(samples.put(session))
        except Unavailable:
            assert time.monotonic() < deadline, "it did not recover"
            await asyncio.sleep(0.02)
        except Conflict:
            return  # an attempt whose end was not known had come to pass
        else:
            return


async def until_all_answer(stores: Sequence[Store]) -> None:
    """Return once every part of the cluster takes writes from every store."""
    await asyncio.gather(
        *(put_once_it_answers(store, session) for store in stores for session in sessions_everywhere())
    )


class Load:
    """Sessions that are opened and ended until it is told to stop; what was acknowledged is remembered."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = stores
        self._stopped = False
        self._moved = asyncio.Event()
        self._clients: list[asyncio.Task[None]] = []
        self.opened: list[Session] = []
        self.ended: list[Session] = []
        self.doubtful: set[bytes] = set()
        self.revived: list[Session] = []
        self.refused = 0

    def begin(self) -> None:
        """Open and end sessions all over the cluster, until the end."""
        self._clients = [asyncio.create_task(self._client(n)) for n in range(16)]
        for client in self._clients:
            client.add_done_callback(lambda _: self._moved.set())

    async def until(self, rounds: int) -> None:
        """Return once so many more sessions have ended; raise what any client failed with."""
        goal = len(self.ended) + rounds
        await until(
            lambda: len(self.ended) >= goal,
            self._clients,
            self._moved,
            lambda: f"{goal - len(self.ended)} of {rounds} are missing, {self.refused} were refused in all",
        )

    async def end(self) -> None:
        """Let every client finish what it is at."""
        self._stopped = True
        await asyncio.gather(*self._clients)

    async def _client(self, n: int) -> None:
        store = self._stores[n % len(self._stores)]
        turn = n
        while not self._stopped:
            turn += 16
            session = samples.session(id=samples.session_id(NOW, SPREAD[turn % len(SPREAD)]))
            try:
                await store.apply(samples.put(session))
                self.opened.append(session)
                if turn % 3:
                    self.doubtful.add(session.id)
                    await store.revoke([samples.revocation(session)])
                    self.ended.append(session)
                    self.doubtful.discard(session.id)
                    if await self._is_alive(self._stores[(n + 1) % len(self._stores)], session):
                        self.revived.append(session)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.02)
            self._moved.set()

    async def check(self) -> None:
        """Fail where a store lost what was acknowledged, or took a session for alive that was ended on the other."""
        assert self.revived == []
        ended = {session.id for session in self.ended}
        for store in self._stores:
            for session in self.opened:
                if session.id not in self.doubtful:
                    assert await self._is_alive(store, session) is (session.id not in ended)

    async def _is_alive(self, store: Store, session: Session) -> bool:
        standing = await store.find_session(DEFAULT_PROJECT, session.id)
        return standing is not None and standing.session.revoked_at is None
