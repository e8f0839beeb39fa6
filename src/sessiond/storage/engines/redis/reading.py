"""Reading: what arrives together is read together, by one script for each partition, in batches for each server.

The control records lie in a partition of their own. Each batch of standings reads them after its operations arrived, at
the same time as the sessions, so that a change there counts for whatever is asked after it was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from sessiond.domain.errors import Unavailable
from sessiond.domain.ids import Partition, ProjectId, SessionId, partition_of
from sessiond.domain.projects import CONTROL_PARTITION, Deployment, Project, deployment_key, project_key
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session, Standing, session_key
from sessiond.domain.subjects import Subject, subject_key
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Batcher, Outcome
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.cache import Recent
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.calls import (
    Call,
    Caller,
    answer_of,
    script_call,
    values_of,
    while_moving,
)
from sessiond.storage.engines.redis.failures import Moving
from sessiond.storage.engines.redis.layout import (
    Layout,
    field,
    prefix,
    record_from,
    session_from,
    stamp_of,
)
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.operations import Argument, SessionKeys

_MOST_CONTROL_RECORDS = 1000
_MOST_DECODED = 20_000
_UNKNOWN = b""
_DEPLOYMENT = deployment_key()

Controls = Mapping[Key, Record | None]


class _Lookup(NamedTuple):
    """A session that is asked for, with what its life depends on in its own partition."""

    project: ProjectId
    session: SessionId

    @property
    def keys(self) -> Sequence[Key]:
        """Nothing is written."""
        return ()


class _Known(NamedTuple):
    """A control record that was read, and its stamp."""

    stamp: bytes
    record: Record


class _Decoded(NamedTuple):
    """What a standing was made of, and the standing."""

    value: bytes
    subject: bytes | None
    project: Project | None
    deployment: Deployment | None
    standing: Standing


class Reading:
    """Every read by key."""

    def __init__(
        self, layout: Layout, nodes: Nodes, caller: Caller, memory: BoundedMemory | None = None
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._nodes = nodes
        self._caller = caller
        self.counts = BatchCounts()
        self._batchers: dict[Address, Batcher[_Lookup]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._controls: dict[Key, _Known] = {}
        self._decoded: Recent[SessionId, _Decoded] = Recent(_MOST_DECODED)
        self._subjects: Recent[bytes, Subject] = Recent(_MOST_CONTROL_RECORDS * 10)
        self._closed = False

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        self._closed = True
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))

    async def standing(self, project: ProjectId, session: SessionId) -> Standing | None:
        """Return the session with everything its life depends on."""
        lookup = _Lookup(project, session)
        try:
            standing = cast("Standing | None", await self._submit(lookup))
        except Moving:
            standing = cast("Standing | None", await while_moving(lambda: self._submit(lookup)))
        if standing is None or standing.session.actor is None:
            return standing
        return await self._with_actor(standing)

    def _submit(self, lookup: _Lookup) -> asyncio.Future[object]:
        if self._closed:
            raise unavailable("it was closed")
        address = self._nodes.address_of(self._layout[partition_of(lookup.session)].slot)
        batcher = self._batchers.get(address)
        if batcher is None:
            batcher = self._batchers[address] = Batcher(self._start, self.counts)
        return batcher.submit(lookup)

    async def records(self, keys: Sequence[Key]) -> list[Record | None]:
        """Return the records at *keys*: those of one partition as of one instant, all as of now."""
        together: dict[Partition, list[int]] = {}
        for n, key in enumerate(keys):
            together.setdefault(key.partition, []).append(n)
        calls = [
            self._records_call(partition, [keys[n] for n in members])
            for partition, members in together.items()
        ]
        found: list[Record | None] = [None] * len(keys)
        outcomes = await self._caller.call(calls, Lane.READ)
        for members, outcome in zip(together.values(), outcomes, strict=True):
            for n, value in zip(members, values_of(outcome), strict=True):
                found[n] = None if value is None else record_from(keys[n].kind, value)
        return found

    def _records_call(self, partition: Partition, keys: Sequence[Key]) -> Call:
        mine = self._layout[partition]
        numbers = SessionKeys(self._layout, 2)
        arguments: list[Argument] = []
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

    def _start(self, lookups: Sequence[_Lookup], done: Callable[[Sequence[Outcome]], None]) -> None:
        task = asyncio.create_task(self._run(lookups, done))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, lookups: Sequence[_Lookup], done: Callable[[Sequence[Outcome]], None]) -> None:
        try:
            outcomes = await (
                self._look_up(lookups) if self._memory is None else self._remembered(self._memory, lookups)
            )
        except BaseException as error:  # noqa: BLE001  each waiter must hear of it
            outcomes = [error if isinstance(error, Exception) else unavailable("it was closed")] * len(
                lookups
            )
        done(outcomes)

    async def _remembered(self, memory: BoundedMemory, lookups: Sequence[_Lookup]) -> Sequence[Outcome]:
        """Return what is found, kept in *memory*, but for a session in which another acts: it is not complete here."""
        with memory.reading() as reading:
            outcomes = await self._look_up(lookups)
            for standing in outcomes:
                if isinstance(standing, Standing):
                    memory.keep(reading, standing)
        return outcomes

    async def _look_up(self, lookups: Sequence[_Lookup]) -> Sequence[Outcome]:
        together: dict[Partition, list[int]] = {}
        for n, lookup in enumerate(lookups):
            together.setdefault(partition_of(lookup.session), []).append(n)
        control_keys = [_DEPLOYMENT, *{project_key(lookup.project) for lookup in lookups}]
        known = {key: self._controls.get(key) for key in control_keys}
        calls = [self._control_call(known)]
        calls += [
            self._standings_call(partition, [lookups[n] for n in members])
            for partition, members in together.items()
        ]
        told, *answers = await self._caller.call(calls, Lane.READ, patient=False)
        controls = self._learn(known, answer_of(told))
        outcomes: list[Outcome] = [None] * len(lookups)
        for members, answer in zip(together.values(), answers, strict=True):
            if isinstance(answer, Unavailable):
                for n in members:
                    outcomes[n] = answer
                continue
            values = cast("list[bytes | None]", answer)
            for n, value, subject in zip(members, values[::2], values[1::2], strict=True):
                if value is not None:
                    outcomes[n] = self._assembled(lookups[n], value, subject, controls)
        return outcomes

    def _standings_call(self, partition: Partition, lookups: Sequence[_Lookup]) -> Call:
        mine = self._layout[partition]
        keys = [mine.records]
        keys += [self._layout.session(partition, lookup.project, lookup.session) for lookup in lookups]
        return script_call(
            "standings", mine.slot, keys, [prefix(Kind.SUBJECT, lookup.project) for lookup in lookups]
        )

    def _control_call(self, known: Mapping[Key, _Known | None]) -> Call:
        mine = self._layout[CONTROL_PARTITION]
        arguments: list[Argument] = []
        for key, record in known.items():
            arguments += (field(key), _UNKNOWN if record is None else record.stamp)
        return script_call("control", mine.slot, [mine.records], arguments)

    def _learn(self, known: Mapping[Key, _Known | None], answer: object) -> Controls:
        """Return the control records that a batch stands on, decoding those that changed."""
        found: dict[Key, Record | None] = {}
        for (key, former), value in zip(known.items(), cast("list[bytes | int | None]", answer), strict=True):
            if isinstance(value, bytes):
                if len(self._controls) >= _MOST_CONTROL_RECORDS:
                    self._controls.clear()
                former = _Known(stamp_of(value), record_from(key.kind, value))  # noqa: PLW2901
                self._controls[key] = former
            found[key] = None if value is None or former is None else former.record
        return found

    def _assembled(
        self, lookup: _Lookup, value: bytes, subject: bytes | None, controls: Controls
    ) -> Standing:
        """Return what was read as a standing; made anew only where something of it differs from the last time."""
        project = cast("Project | None", controls[project_key(lookup.project)])
        deployment = cast("Deployment | None", controls[_DEPLOYMENT])
        known = self._decoded.get(lookup.session)
        if (
            known is not None
            and known.value == value
            and known.subject == subject
            and known.project is project
            and known.deployment is deployment
        ):
            return known.standing
        standing = Standing(
            session=session_from(value),
            subject=None if subject is None else self._subject(subject),
            project=project,
            deployment=deployment,
        )
        self._decoded.put(lookup.session, _Decoded(value, subject, project, deployment, standing))
        return standing

    def _subject(self, value: bytes) -> Subject:
        """Decode a subject, once for each writing of it."""
        known = self._subjects.get(value)
        if known is None:
            known = cast("Subject", record_from(Kind.SUBJECT, value))
            self._subjects.put(value, known)
        return known
