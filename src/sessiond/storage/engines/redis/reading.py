"""Reading: what arrives together is read together, in batches for each server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import Partition, ProjectId, SessionId
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.engines.redis.asking import Asking, settle
from sessiond.storage.engines.redis.calls import Caller, values_of, while_moving
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.controls import Controls, Found
from sessiond.storage.engines.redis.failures import Moving
from sessiond.storage.engines.redis.layout import Layout, field, record_from
from sessiond.storage.engines.redis.link import Answer
from sessiond.storage.engines.redis.lookups import Lookup, Lookups
from sessiond.storage.engines.redis.nodes import Nodes
from sessiond.storage.engines.redis.operations import SessionKeys


class _Gathering:
    """Records that lie in so many *places*: the future *waiter* holds all of them once all are there."""

    __slots__ = ("_found", "_keys", "_places", "waiter")

    def __init__(self, waiter: asyncio.Future[object], keys: Sequence[Key], places: int) -> None:
        self.waiter = waiter
        self._keys = keys
        self._found: dict[Key, Record | None] = {}
        self._places = places

    def hear(self, told: Found | Exception) -> None:
        """Take what one place has, or give up all for what it came to."""
        if isinstance(told, Exception):
            settle(self.waiter, told)
            return
        self._found.update(told)
        self._places -= 1
        if not self._places:
            settle(self.waiter, [self._found[key] for key in self._keys])


class _Records:
    """Records of one partition, and the gathering to which they belong."""

    keys: ClassVar[Sequence[Key]] = ()

    __slots__ = ("_asked", "_call", "_gathering", "joined")

    def __init__(self, call: Call, asked: Sequence[Key], gathering: _Gathering) -> None:
        self.joined = 0
        self._call = call
        self._asked = asked
        self._gathering = gathering

    def calls(self) -> Sequence[Call]:
        return (self._call,)

    def outcome(self, outcomes: Sequence[Outcome]) -> Outcome:
        try:
            found = {
                key: None if value is None else record_from(key.kind, value)
                for key, value in zip(self._asked, values_of(outcomes[0]), strict=True)
            }
        except Exception as error:  # noqa: BLE001  whatever it is, who asked must hear of it
            return self.fail(error)
        self._gathering.hear(found)
        return None

    def fail(self, error: Exception) -> Outcome:
        self._gathering.hear(error)
        return None


class Reading:
    """Every read by key."""

    def __init__(
        self, layout: Layout, nodes: Nodes, caller: Caller, memory: BoundedMemory | None = None
    ) -> None:
        self._layout = layout
        self._loop = asyncio.get_running_loop()
        self.counts = BatchCounts()
        self._asking = Asking(nodes, caller, self.counts)
        self._controls = Controls(layout, self._asking)
        self._lookups = Lookups(layout, nodes, self._asking, self._controls, memory)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._asking.close()

    async def standing(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return the session with everything its life depends on."""
        lookup = Lookup(project, session)
        try:
            standing = cast("Standing | None", await self._lookups.submit(lookup))
        except Moving:
            standing = cast("Standing | None", await while_moving(self._lookups.submit, lookup))
        if standing is None or standing.session.actor is None:
            return standing
        return await self._with_actor(standing)

    async def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Return the answer to each of *calls*, which read, or raise the refusal of one."""
        return await self._asking.ask(calls)

    async def records(self, keys: Sequence[Key]) -> list[Record | None]:
        """Return the records at *keys*: those of one partition as of one instant, all as of now."""
        try:
            found = await self._records(keys)
        except Moving:
            found = await while_moving(self._records, keys)
        return cast("list[Record | None]", found)

    def _records(self, keys: Sequence[Key]) -> asyncio.Future[object]:
        """Ask for the records at *keys*, those of each partition in the next batch of its server: a future of all."""
        together: dict[Partition, list[Key]] = {}
        for key in keys:
            together.setdefault(key.partition, []).append(key)
        waiter: asyncio.Future[object] = self._loop.create_future()
        gathering = _Gathering(waiter, keys, len(together))
        if not together:
            waiter.set_result([])
        try:
            for partition, some in together.items():
                self._gather(partition, some, gathering)
        except Unavailable:
            waiter.cancel()
            raise
        return waiter

    def _gather(self, partition: Partition, keys: Sequence[Key], gathering: _Gathering) -> None:
        sessions = [key.kind for key in keys].count(Kind.SESSION)
        if partition == CONTROL_PARTITION and not sessions:
            self._controls.read(keys, gathering.hear)
        else:
            call = self._records_call(partition, keys, sessions)
            self._asking.put(call.slot, _Records(call, keys, gathering))

    def _records_call(self, partition: Partition, keys: Sequence[Key], sessions: int) -> Call:
        mine = self._layout[partition]
        if not sessions:
            return Call(mine.slot, ("HMGET", mine.records, *map(field, keys)))
        if sessions == len(keys):
            names = [self._layout.session(partition, key.project, SessionId(key.id)) for key in keys]
            return Call(mine.slot, ("MGET", *names))
        numbers = SessionKeys(self._layout, 2)
        arguments: list[bytes | int] = []
        for key in keys:
            arguments += (numbers.number(key), field(key))
        return script_call("records", mine.slot, [mine.records, *numbers.keys], arguments)

    async def _with_actor(self, standing: Standing) -> Standing:
        """Return the standing with whoever acts, who lies in another partition and is read after it."""
        session, actor = standing.session, standing.session.actor
        if actor is None or actor.subject is None or actor.partition is None:
            return standing
        keys = [subject_key(session.project, actor.subject, actor.partition)]
        if actor.session is not None:
            keys.append(session_key(session.project, actor.session))
        acting_subject, *acting = await self.records(keys)
        return Standing(
            session=session,
            subject=standing.subject,
            project=standing.project,
            deployment=standing.deployment,
            actor=cast("Subject | None", acting_subject),
            acting=cast("Session | None", acting[0]) if acting else None,
        )
