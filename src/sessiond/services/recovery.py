"""The deployment's first and worst days: its birth, the secrets seeded into it, and a new epoch after a restore."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.crypto.ring import KeyRing
from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import Conflict, Misconfigured
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, id_text, mint_id
from sessiond.domain.initiators import SESSIOND, Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.projects import (
    CONTROL_PARTITION,
    EPOCH_ENTROPY,
    Deployment,
    Project,
    ServerKey,
    deployment_key,
    draw_epoch,
)
from sessiond.domain.startup import Witness
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Entropy, KeyWrapper, Store
from sessiond.services.projects import Projects, ServerKeys

DEFAULT_PROJECT_NAME = "default"
SEEDED_KEY_NAME = "seeded"
_EVENTS_AT_ONCE = 500
FIRST_KEY_NAME = "first"


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What a new deployment is made from. *seeded* tells whether the operator chose the server key.

    *wrapper* is the key service that keeps what opens the wrapping key, None where that lies on the servers.
    """

    wrapping_key: bytes
    server_key: Secret
    seeded: bool
    master_token: Secret
    wrapper: KeyWrapper | None = None

    def __repr__(self) -> str:
        return "Birth(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


async def find_deployment(store: Store) -> Deployment | None:
    """Return the deployment's control record, or None in a database that was never used."""
    record = await store.get(deployment_key())
    return record if isinstance(record, Deployment) else None


async def recovered_since(store: Store, sequence: int) -> bool:
    """Tell whether an event above *sequence* tells of a recovery, as another node's may."""
    while page := await store.events(
        after=sequence, limit=_EVENTS_AT_ONCE, project=DEFAULT_PROJECT, partition=CONTROL_PARTITION
    ):
        if any(event.type is EventType.DEPLOYMENT_RECOVERED for _, event in page):
            return True
        sequence = page[-1][0]
    return False


async def make_deployment(store: Store, clock: Clock, entropy: Entropy, birth: Birth) -> Deployment:
    """Make the deployment, its key ring, the default project and the first server key, in one change.

    When another process made it meanwhile, that one is returned and nothing of *birth* is written.
    """
    now = clock.now()
    deployment, project, key = born = _newborn(entropy, birth, now)
    change = Change(
        partition=CONTROL_PARTITION,
        expects={record.key: 0 for record in born},
        puts=born,
        events=[
            _event(EventType.PROJECT_CREATED, now, {"name": project.name}),
            _event(EventType.SERVER_KEY_ADDED, now, {"name": key.name, "id": key.id}),
        ],
    )
    try:
        await store.apply(change)
    except Conflict:
        found = await find_deployment(store)
        if found is None:
            raise Misconfigured("The database has records but no deployment record: restore it") from None
        return found
    return deployment


def _newborn(entropy: Entropy, birth: Birth, now: Instant) -> tuple[Deployment, Project, ServerKey]:
    install_id = str(uuid.UUID(bytes=entropy.bytes(16), version=4))
    ring = KeyRing.initial(entropy, now)
    deployment = Deployment(
        install_id=install_id,
        epoch=draw_epoch(entropy.bytes(EPOCH_ENTROPY)),
        ring=ring.seal(birth.wrapping_key, install_id, entropy),
        ring_version=1,
        master_digest=ring.lookup(Purpose.LOOKUP_MASTER_TOKEN, DEFAULT_PROJECT, birth.master_token.reveal()),
        master_generation=1,
        created_at=now,
        wrapped_key=birth.wrapper.wrap(birth.wrapping_key, install_id=install_id) if birth.wrapper else None,
    )
    project = Project(
        id=DEFAULT_PROJECT,
        name=DEFAULT_PROJECT_NAME,
        epoch=draw_epoch(entropy.bytes(EPOCH_ENTROPY)),
        created_at=now,
    )
    key = ServerKey(
        digest=ring.lookup(Purpose.LOOKUP_SERVER_KEY, DEFAULT_PROJECT, birth.server_key.reveal()),
        project=DEFAULT_PROJECT,
        id=id_text(mint_id(now=now, partition=CONTROL_PARTITION, entropy=entropy.bytes(8))),
        name=SEEDED_KEY_NAME if birth.seeded else FIRST_KEY_NAME,
        created_at=now,
        seeded=birth.seeded,
    )
    return deployment, project, key


class Recovery:
    """What is done to a whole deployment by its operator's hand, or at its start."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, contention: Contention
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention

    async def witness(self) -> Witness:
        """Return how far the deployment has come, as the store says now."""
        # The event sequence first: a witness may lag behind the store, never run ahead of it.
        newest = await self._store.newest_event()
        await self._keys.reload(at_once=True)
        deployment = self._keys.deployment
        return Witness(install_id=deployment.install_id, epoch=deployment.epoch, newest_event=newest)

    async def recover(self, *, by: Initiator, reason: str) -> Deployment:
        """Draw a new deployment epoch: every session of every project ends in this one write."""
        epoch = draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))

        async def attempt() -> Deployment:
            await self._keys.reload(at_once=True)
            old, now = self._keys.deployment, self._clock.now()
            renewed = msgspec.structs.replace(old, epoch=epoch, version=old.version + 1)
            await self._store.apply(
                Change.replacing(
                    old, renewed, _event(EventType.DEPLOYMENT_RECOVERED, now, {"reason": reason}, by)
                )
            )
            self._keys.adopt(renewed)
            return renewed

        return await self._contention.settle((DEFAULT_PROJECT, "deployment"), attempt)

    def check_master_seed(self, token: Secret) -> None:
        """Raise `Misconfigured` unless *token* is the master token: the seed counts at the first start only."""
        if not self._keys.is_master(self._keys.lookup(Purpose.LOOKUP_MASTER_TOKEN, token.reveal())):
            raise Misconfigured(
                "SESSIOND_MASTER_TOKEN is not the stored master token: it only seeds the first start, so remove it, "
                "or set it to the token that `sessiond master-token rotate` gave last"
            )

    async def seed_server_key(self, server_keys: ServerKeys, text: Secret) -> bool:
        """Make *text* the one seeded server key of the default project; tell whether anything changed.

        A former seeded key is revoked. Raises `Misconfigured` when *text* is a key that was revoked.
        """
        digest = self._keys.lookup(Purpose.LOOKUP_SERVER_KEY, text.reveal())
        known = await server_keys.list_all(DEFAULT_PROJECT)
        same = next((key for key in known if key.digest == digest), None)
        if same is not None and same.revoked_at is not None:
            raise Misconfigured(
                "SESSIOND_SERVER_KEY is a server key that was revoked, and stays so: choose another"
            )
        former = [key for key in known if key.seeded and key.revoked_at is None and key.digest != digest]
        if same is None:
            await server_keys.add(DEFAULT_PROJECT, SEEDED_KEY_NAME, by=SESSIOND, text=text)
        for key in former:
            await server_keys.revoke(DEFAULT_PROJECT, key.id, by=SESSIOND)
        return same is None or bool(former)

    async def set_publishable_key(self, projects: Projects, text: Secret | None) -> bool:
        """Make *text* what Stack Auth clients of the default project present, None for nothing; tell of a change."""
        purpose = Purpose.LOOKUP_PUBLISHABLE_KEY
        digest = self._keys.lookup(purpose, text.reveal()) if text is not None else None

        async def attempt() -> bool:
            old = await projects.require(DEFAULT_PROJECT)
            if old.publishable_key_digest == digest:
                return False
            renewed = msgspec.structs.replace(old, publishable_key_digest=digest, version=old.version + 1)
            event = _event(
                EventType.KEYS_CHANGED, self._clock.now(), {"publishable_key": "set" if digest else "none"}
            )
            await self._store.apply(Change.replacing(old, renewed, event))
            return True

        return await self._contention.settle((DEFAULT_PROJECT, "control"), attempt)


def _event(what: EventType, now: Instant, data: Mapping[str, str], by: Initiator = SESSIOND) -> Event:
    return by.did(what, at=now, partition=CONTROL_PARTITION, project=DEFAULT_PROJECT, data=data)
