"""Looking up: a session with its subject, its project and the deployment, one round for all who ask a server together.

A session and its subject lie in one partition, the control records in another: these are read in a round of their own.
Either is sent after everyone came who joined it: a change counts for whatever is asked after it was acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, cast

from sessiond.domain.ids import Partition, ProjectId, SessionId, partition_of
from sessiond.domain.projects import Deployment, Project, deployment_key, project_key
from sessiond.domain.records import Key, Kind
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject
from sessiond.storage.batching import Outcome
from sessiond.storage.bounded_memory import BoundedMemory
from sessiond.storage.cache import Recent
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.asking import Asking, settle
from sessiond.storage.engines.redis.commands import Call, script_call
from sessiond.storage.engines.redis.controls import Controls, ControlsRound, Found
from sessiond.storage.engines.redis.layout import Layout, prefix, record_from, session_from
from sessiond.storage.engines.redis.nodes import Nodes

_MOST_DECODED = 20_000
_MOST_SUBJECTS = 10_000
_DEPLOYMENT = deployment_key()


class Lookup(NamedTuple):
    """A session that is asked for."""

    project: ProjectId
    session: SessionId


class _Decoded(NamedTuple):
    """What a standing was made of, and the standing."""

    value: bytes
    subject: bytes | None
    project: Project | None
    deployment: Deployment | None
    standing: Standing


class _Round:
    """The sessions that are asked of one server at once, which may be joined until that is sent.

    With a *memory* what was found is kept there.
    """

    keys: ClassVar[Sequence[Key]] = ()

    def __init__(self, lookups: Lookups, address: Address, memory: BoundedMemory | None) -> None:
        self.joined = 0
        self._lookups = lookups
        self._address = address
        self._memory = memory
        self._ending = contextlib.ExitStack()
        self._reading = None if memory is None else self._ending.enter_context(memory.reading())
        self._asked: dict[Partition, dict[Lookup, list[asyncio.Future[object]]]] = {}
        self._controls: ControlsRound | None = None
        self._projects: set[ProjectId] = set()
        self._outcomes: Sequence[Outcome] | None = None

    def join(
        self,
        partition: Partition,
        lookup: Lookup,
        waiter: asyncio.Future[object],
        controls: ControlsRound,
    ) -> None:
        """Look this up, too, for *waiter*; by *controls*, the round of them that is sent next."""
        lookups = self._asked.get(partition)
        if lookups is None:
            self._asked[partition] = {lookup: [waiter]}
        else:
            lookups.setdefault(lookup, []).append(waiter)
        if controls is not self._controls:
            # The last round is of after everyone came, and answered after the ones before.
            self._controls = controls
            controls.tell(self._hear)
            for project in self._projects:
                controls.want(_control_keys(project))
        if lookup.project not in self._projects:
            self._projects.add(lookup.project)
            controls.want(_control_keys(lookup.project))

    def calls(self) -> Sequence[Call]:
        """Return the calls that read the sessions, each partition's in one."""
        self._lookups.sent(self._address)
        return [self._lookups.call(partition, lookups) for partition, lookups in self._asked.items()]

    def outcome(self, outcomes: Sequence[Outcome]) -> Outcome:
        """Settle, once the control records are there as well."""
        self._outcomes = outcomes
        self._settle()
        return None

    def fail(self, error: Exception) -> Outcome:
        """Settle with *error*, in the same way."""
        return self.outcome([error] * len(self._asked))

    def _hear(self, _told: Found | Exception) -> None:
        self._settle()

    def _settle(self) -> None:
        """Tell everybody, once: a reading of control records that was joined before may be answered after the last."""
        controls = None if self._controls is None else self._controls.told
        if self._outcomes is None or controls is None:
            return
        outcomes, self._outcomes = self._outcomes, None
        for lookups, outcome in zip(self._asked.values(), outcomes, strict=True):
            self._tell(lookups, outcome, controls)
        self._ending.close()

    def _tell(
        self,
        lookups: Mapping[Lookup, Sequence[asyncio.Future[object]]],
        outcome: Outcome,
        controls: Found | Exception,
    ) -> None:
        """Tell those who look into one partition, by its answer, what they came to."""
        found: Sequence[Standing | None] | Exception
        try:
            found = outcome if isinstance(outcome, Exception) else self._found(lookups, outcome, controls)
        except Exception as error:  # noqa: BLE001  whatever it is, who asked must hear of it
            found = error
        for n, waiting in enumerate(lookups.values()):
            one = found if isinstance(found, Exception) else found[n]
            for waiter in waiting:
                settle(waiter, one)

    def _found(
        self, lookups: Iterable[Lookup], outcome: Outcome, controls: Found | Exception
    ) -> Sequence[Standing | None]:
        """Return the standings of one partition, in order."""
        if isinstance(controls, Exception):
            raise controls
        values = cast("list[bytes | None]", outcome)
        found: list[Standing | None] = []
        for lookup, value, subject in zip(lookups, values[::2], values[1::2], strict=True):
            standing = None if value is None else self._lookups.assembled(lookup, value, subject, controls)
            if standing is not None and self._memory is not None and self._reading is not None:
                self._memory.keep(self._reading, standing)
            found.append(standing)
        return found


class Lookups:
    """Looks sessions up. With a *memory* what was found is kept there, as far as it is complete here."""

    def __init__(
        self, layout: Layout, nodes: Nodes, asking: Asking, controls: Controls, memory: BoundedMemory | None
    ) -> None:
        self._layout = layout
        self._nodes = nodes
        self._asking = asking
        self._controls = controls
        self._memory = memory
        self._loop = asyncio.get_running_loop()
        self._open: dict[Address, _Round] = {}
        self._decoded: Recent[SessionId, _Decoded] = Recent(_MOST_DECODED)
        self._subjects: Recent[bytes, Subject] = Recent(_MOST_SUBJECTS)

    def submit(self, lookup: Lookup) -> asyncio.Future[object]:
        """Ask in the next round: the future holds the standing, None where the session is absent."""
        partition = partition_of(lookup.session)
        slot = self._layout[partition].slot
        address = self._nodes.address_of(slot)
        controls = self._controls.next()
        joined = self._open.get(address)
        if joined is None:
            joined = _Round(self, address, self._memory)
            self._asking.put(slot, joined)
            self._open[address] = joined
        else:
            self._asking.join(joined)
        waiter: asyncio.Future[object] = self._loop.create_future()
        joined.join(partition, lookup, waiter, controls)
        return waiter

    def sent(self, address: Address) -> None:
        """Let whoever comes from now on join another round."""
        del self._open[address]

    def call(self, partition: Partition, lookups: Iterable[Lookup]) -> Call:
        """Return the call that reads these sessions of one partition, and their subjects."""
        mine = self._layout[partition]
        keys = [mine.records]
        keys += [self._layout.session(partition, lookup.project, lookup.session) for lookup in lookups]
        return script_call(
            "standings", mine.slot, keys, [prefix(Kind.SUBJECT, lookup.project) for lookup in lookups]
        )

    def assembled(self, lookup: Lookup, value: bytes, subject: bytes | None, controls: Found) -> Standing:
        """Return what was read as a standing; made anew only where something of it differs from the last time."""
        deployment_at, project_at = _control_keys(lookup.project)
        project = cast("Project | None", controls[project_at])
        deployment = cast("Deployment | None", controls[deployment_at])
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


@functools.lru_cache(maxsize=4096)
def _control_keys(project: ProjectId) -> tuple[Key, Key]:
    """Return where a session of *project* has its deployment and its project."""
    return _DEPLOYMENT, project_key(project)
