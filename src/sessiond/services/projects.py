"""Projects and their server keys."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.secrets import Secret, SecretKind, mint_secret
from sessiond.domain.errors import Conflict, NotFound, StateConflict
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, id_text, mint_id
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.projects import (
    CONTROL_PARTITION,
    EPOCH_ENTROPY,
    Project,
    ServerKey,
    check_name,
    deployment_key,
    draw_epoch,
    project_key,
    server_key_key,
)
from sessiond.domain.records import Key, Kind, Record
from sessiond.services.contention import Contention
from sessiond.services.footing import Foreseen, footing_keys
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, Selection, Store

_MOST_KNOWN = 1000
"""Server keys whose place is remembered."""

_PAGE = 1000

PROJECT_UNKNOWN = NotFound("project_unknown", "There is no such project.")


class Projects:
    """What can be asked of projects and done to them."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, contention: Contention
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention

    async def get(self, project: ProjectId) -> Project | None:
        """Return the project's control record, or None."""
        record = await self._store.get(project_key(project))
        return record if isinstance(record, Project) else None

    async def require(self, project: ProjectId) -> Project:
        """Return the project's control record, or raise `NotFound` (`project_unknown`)."""
        found = await self.get(project)
        if found is None:
            raise NotFound("project_unknown", "There is no such project.", {"project": project})
        return found

    async def list_all(self) -> Sequence[Project]:
        """Return every project, newest first; a deployment has few."""
        rows = await _all(self._store, Selection(kind=Kind.PROJECT))
        return [row for row in rows if isinstance(row, Project)]

    async def find(self, name_or_id: str) -> Project:
        """Return the project of this name or id, or raise `NotFound` (`project_unknown`)."""
        for project in await self.list_all():
            if name_or_id in (project.id, project.name):
                return project
        raise NotFound(PROJECT_UNKNOWN.code, f"There is no project {name_or_id!r}.")

    async def add(self, name: str, *, by: Initiator) -> Project:
        """Create a project with its keys, in one change; a name is given once (`project_exists`)."""
        check_name(name)

        async def attempt() -> Project:
            if any(each.name == name for each in await self.list_all()):
                raise StateConflict("project_exists", f"A project named {name!r} exists already.")
            await self._keys.reload(at_once=True)
            now, deployment = self._clock.now(), self._keys.deployment
            project = self._newborn(name, now)
            ring = self._keys.ring.with_project(project.id, self._entropy, now)
            renewed = msgspec.structs.replace(
                deployment,
                ring=self._keys.seal(ring, self._entropy),
                ring_version=deployment.ring_version + 1,
                version=deployment.version + 1,
            )
            event = _control_event(EventType.PROJECT_CREATED, now, by, {"name": name}, project.id)
            await self._store.apply(
                Change(
                    partition=CONTROL_PARTITION,
                    expects={deployment_key(): deployment.version, project.key: 0},
                    puts=[renewed, project],
                    events=[event],
                )
            )
            self._keys.adopt(renewed)
            return project

        return await self._contention.settle((DEFAULT_PROJECT, "deployment"), attempt)

    def _newborn(self, name: str, now: Instant) -> Project:
        identifier = mint_id(now=now, partition=CONTROL_PARTITION, entropy=self._entropy.bytes(8))
        return Project(
            id=ProjectId(id_text(identifier)),
            name=name,
            epoch=draw_epoch(self._entropy.bytes(EPOCH_ENTROPY)),
            created_at=now,
        )

    async def revoke_sessions(
        self, project: ProjectId, *, reason: str = "revoked", by: Initiator, spares_operator: bool = False
    ) -> None:
        """End every session of the project, or all but the operator's, in one write."""
        epoch = draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))

        async def attempt() -> None:
            now, old = self._clock.now(), await self.require(project)
            event = _control_event(EventType.PROJECT_SESSIONS_REVOKED, now, by, {"reason": reason}, project)
            ended = old.with_epoch(
                epoch, now=now, reason=reason, by=by.label, spares_operator=spares_operator
            )
            await self._store.apply(Change.replacing(old, ended, event))

        await self._contention.settle((project, "control"), attempt)


class ServerKeys:
    """An application's credentials: several may live at once.

    Only keyed hashes are stored; where each lies is remembered by its text, in memory, for as many as are in use.
    """

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, contention: Contention
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention
        self._known: dict[str, tuple[Key, ProjectId]] = {}

    async def find(self, text: str, foreseen: Foreseen | None = None) -> ServerKey | None:
        """Return the live server key of this text, or None; with it what is *foreseen*, where its project is known."""
        known = self._known.get(text)
        if known is None:
            key: Record | None = await self.known(text)
        elif foreseen is None:
            key = await self._store.get(known[0])
        else:
            key = await self._beside(*known, foreseen)
        return key if isinstance(key, ServerKey) and key.revoked_at is None else None

    async def known(self, text: str) -> ServerKey | None:
        """Return the server key of this text, revoked or not, or None."""
        known = self._known.get(text)
        key = (
            server_key_key(self._keys.lookup(Purpose.LOOKUP_SERVER_KEY, text)) if known is None else known[0]
        )
        record = await self._store.get(key)
        if not isinstance(record, ServerKey):
            return None
        if known is None and len(self._known) < _MOST_KNOWN:
            self._known[text] = key, record.project
        return record

    async def _beside(self, key: Key, project: ProjectId, foreseen: Foreseen) -> Record | None:
        """Return the server key at *key*, having read what is *foreseen* for *project* at the same instant."""
        wanted = footing_keys(self._keys, project, foreseen.subject)
        record, *footing = await self._store.get_many([key, *wanted])
        foreseen.hold(project, footing)
        return record

    def knows(self, text: str) -> bool:
        """Tell whether *text* was a server key's when it was last asked for; whether it still is, `find` tells."""
        return text in self._known

    async def list_all(self, project: ProjectId) -> Sequence[ServerKey]:
        """Return the project's server keys, newest first, revoked ones included."""
        rows = await _all(self._store, Selection(kind=Kind.SERVER_KEY, owner=project))
        return [row for row in rows if isinstance(row, ServerKey)]

    async def add(
        self, project: ProjectId, name: str, *, by: Initiator, text: Secret | None = None
    ) -> tuple[ServerKey, Secret]:
        """Add a server key: a new one, or the operator's own *text* (then marked as seeded)."""
        check_name(name)
        now = self._clock.now()
        secret = text or Secret(mint_secret(SecretKind.SERVER_KEY, self._entropy.bytes(32)))
        record = ServerKey(
            digest=self._keys.lookup(Purpose.LOOKUP_SERVER_KEY, secret.reveal()),
            project=project,
            id=id_text(mint_id(now=now, partition=CONTROL_PARTITION, entropy=self._entropy.bytes(8))),
            name=name,
            created_at=now,
            seeded=text is not None,
        )
        event = _control_event(EventType.SERVER_KEY_ADDED, now, by, {"name": name, "id": record.id}, project)
        try:
            await self._store.apply(
                Change(partition=CONTROL_PARTITION, expects={record.key: 0}, puts=[record], events=[event])
            )
        except Conflict:
            raise StateConflict("server_key_exists", "This server key was added before.") from None
        return record, secret

    async def revoke(self, project: ProjectId, name_or_id: str, *, by: Initiator) -> ServerKey:
        """Revoke the key of this id, else of this name; twice is no error.

        Raises `NotFound` (`server_key_unknown`), and `StateConflict` (`server_key_ambiguous`) when several live keys
        have the name.
        """

        async def attempt() -> ServerKey:
            known = await self.list_all(project)
            meant = [key for key in known if key.id == name_or_id] or [
                key for key in known if key.name == name_or_id
            ]
            live = [key for key in meant if key.revoked_at is None]
            if len(live) > 1:
                raise StateConflict(
                    "server_key_ambiguous",
                    f"{len(live)} live server keys are named {name_or_id!r}: give the id.",
                )
            if not meant:
                raise NotFound(
                    "server_key_unknown", f"There is no server key {name_or_id!r} in this project."
                )
            return await self._revoked(live[0], by) if live else meant[0]

        return await self._contention.settle((project, "server keys"), attempt)

    async def _revoked(self, record: ServerKey, by: Initiator) -> ServerKey:
        now = self._clock.now()
        ended = msgspec.structs.replace(record, revoked_at=now, version=record.version + 1)
        facts = {"name": record.name, "id": record.id}
        event = _control_event(EventType.SERVER_KEY_REVOKED, now, by, facts, record.project)
        await self._store.apply(Change.replacing(record, ended, event))
        return ended


async def _all(store: Store, selection: Selection) -> Sequence[Record]:
    rows: list[Record] = []
    while page := await store.scan(selection, limit=_PAGE, offset=len(rows)):
        rows.extend(page)
        if len(page) < _PAGE:
            break
    return rows


def _control_event(
    what: EventType, now: Instant, by: Initiator, data: dict[str, str], project: ProjectId
) -> Event:
    return by.did(what, at=now, partition=CONTROL_PARTITION, project=project, data=data)
