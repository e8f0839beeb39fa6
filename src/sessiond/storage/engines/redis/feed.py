"""The feed of changes: hints over pub/sub, and heartbeats that are written to the store and told on the same channel.

Redis loses messages: to a listener that is not connected, between the nodes of a cluster, in a failover, and while a
slot moves none tells where the next will come from. So nothing rests on a hint (`tells_all` is False): what was read
is answered for the bound and no longer, and a hint only ends that sooner. A node that writes tells what it changed once
that is written, if it has the setting, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable

import msgspec

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import ProjectId
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Kind
from sessiond.storage.bounded_memory import BoundedMemory, follow_again_and_again
from sessiond.storage.engines.redis.calls import Caller, answer_of
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.layout import Layout
from sessiond.storage.engines.redis.link import LinkLost, Subscription
from sessiond.storage.engines.redis.nodes import Lane, Nodes

_MOST_TOLD_AT_ONCE = 200
_BEAT, _CHANGES = b"b", b"c"
_TOLD = frozenset({Kind.SESSION, Kind.SUBJECT, Kind.PROJECT, Kind.DEPLOYMENT})

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[Kind, ProjectId, bytes]]).decode


class Feed:
    """Follows the hints of one namespace for *memory*, again and again, and tells what this node changed."""

    def __init__(self, layout: Layout, nodes: Nodes, caller: Caller, memory: BoundedMemory) -> None:
        self._slot = layout[CONTROL_PARTITION].slot
        self._channel = layout.channel
        self._last_beat = layout.of_control(b"beat")
        self._nodes = nodes
        self._caller = caller
        self._memory = memory
        self._beats: dict[bytes, asyncio.Future[None]] = {}
        self._telling: set[asyncio.Task[None]] = set()
        following = follow_again_and_again(self._follow, _why)
        self._task = asyncio.create_task(following, name="change feed")

    async def close(self) -> None:
        """Follow no more."""
        self._task.cancel()
        await asyncio.gather(self._task, *self._telling, return_exceptions=True)

    def changed(self, keys: Iterable[Key]) -> None:
        """Forget what this node wrote, or may have written, and tell the others without waiting for them."""
        told = [(key.kind, key.project, key.id) for key in keys if key.kind in _TOLD]
        for kind, project, identifier in told:
            self._memory.drop(kind, project, identifier)
        for start in range(0, len(told), _MOST_TOLD_AT_ONCE):
            task = asyncio.create_task(self._tell(_encode(told[start : start + _MOST_TOLD_AT_ONCE])))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, told: bytes) -> None:
        call = Call(self._slot, ("PUBLISH", self._channel, _CHANGES + told))
        with contextlib.suppress(Unavailable):
            await self._caller.call([call], Lane.READ)  # a hint: whoever misses it is strict soon enough

    async def _follow(self) -> None:
        """Follow the hints until the link fails, or a heartbeat does not come back."""
        subscription = await self._nodes.subscribe(self._slot, self._channel, self._told)
        try:
            while True:
                await self._beat(subscription)
                await asyncio.sleep(self._memory.pause)
        finally:
            self._memory.lose()
            subscription.close()

    async def _beat(self, subscription: Subscription) -> None:
        beat = _BEAT + os.urandom(8)
        came_back = self._beats[beat] = asyncio.get_running_loop().create_future()
        sent_at = self._memory.monotonic()
        call = script_call("beat", self._slot, [self._last_beat], [self._channel, beat])
        try:
            async with asyncio.timeout(self._memory.patience):
                (outcome,) = await self._caller.call([call], Lane.WRITE)
                answer_of(outcome)
                await asyncio.wait({came_back, subscription.lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._beats[beat]
        if subscription.lost.done():
            raise LinkLost(subscription.lost.result(), sent=True)
        self._memory.heard(sent_at)

    def _told(self, message: bytes) -> None:
        """Take a message; a hint that cannot be read may have named anything."""
        if message[:1] == _BEAT:
            waiter = self._beats.get(message)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
            return
        try:
            for kind, project, identifier in _decode(memoryview(message)[1:]):
                self._memory.drop(kind, project, identifier)
        except msgspec.DecodeError:
            self._memory.lose()


def _why(error: Exception) -> str | None:
    if isinstance(error, TimeoutError):
        return "a heartbeat did not come back"
    return str(error) if isinstance(error, (LinkLost, Unavailable)) else None
