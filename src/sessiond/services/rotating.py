"""Rotating keys: a successor that everyone knows takes over; what was made under the former still passes.

A rotation is asked for by the operator and carried out as soon as the successor may take over: at once, or later by
whichever server's background work comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from sessiond.crypto.ring import KeyRing
from sessiond.domain.errors import NotFound
from sessiond.domain.ids import ProjectId
from sessiond.domain.initiators import SESSIOND, Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.key_use import lost_between
from sessiond.domain.keys import HeldKey, KeyKind
from sessiond.services.key_use import KeyUse, Refused
from sessiond.services.keys import Keys
from sessiond.services.ports import Clock, Entropy, Store
from sessiond.services.ring_writing import RingWriting

KEY_UNKNOWN = NotFound("key_unknown", "There is no such key in this project.")


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of the ring did, or would do: *keys* are those that changed, as they are then."""

    keys: Sequence[HeldKey]
    refused: Refused


class Rotating:
    """Rotates and refuses keys."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, writing: RingWriting
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._use = KeyUse(store)
        self._writing = writing

    async def held(self, project: ProjectId | None = None) -> Sequence[HeldKey]:
        """Return the keys of *project*, of all for None, in every state, as they are now."""
        await self._keys.reload()
        return [key for key in self._keys.ring.held() if project in {None, key.project}]

    async def rotate(
        self, project: ProjectId, kind: KeyKind, *, by: Initiator, dry_run: bool = False
    ) -> Turned:
        """Let the pending keys of *kind* take over, as soon as they may; with *dry_run* only tell what would happen.

        Asked again while a key waits, nothing changes.
        """

        def make(ring: KeyRing, now: Instant) -> KeyRing:
            return ring.rotated(project, kind, self._entropy, now)

        turned = await self._turn(project, make, by=by, facts={"rotated": kind.value}, dry_run=dry_run)
        if turned.keys:
            return turned
        waiting = [
            key
            for key in self._keys.ring.held()
            if key.project == project and key.line.kind is kind and key.activates_at is not None
        ]
        return msgspec.structs.replace(turned, keys=waiting)

    async def compromise(
        self, project: ProjectId, name: str, *, by: Initiator, dry_run: bool = False
    ) -> Turned:
        """Refuse a key from now on; its successor takes its place at once. A vault key is retired instead.

        Raises `NotFound` (`key_unknown`), and `StateConflict` (`key_state`) for a key that is refused already.
        """
        await self._keys.reload(at_once=True)
        if not any(key.name == name and key.project == project for key in self._keys.ring.held()):
            raise KEY_UNKNOWN

        def make(ring: KeyRing, now: Instant) -> KeyRing:
            return ring.compromised(name, self._entropy, now)

        return await self._turn(project, make, by=by, facts={"compromised": name}, dry_run=dry_run)

    async def activate_due(self) -> bool:
        """Let every waiting key take over whose time has come; tell whether there was one."""
        due = self._keys.ring.next_activation
        if due is None or self._clock.now() < due:
            return False
        former, ring = await self._writing.change(
            lambda ring, now: ring.activated(self._entropy, now), by=SESSIOND, facts={"activated": "due"}
        )
        return ring is not former

    async def _turn(
        self,
        project: ProjectId,
        make: Callable[[KeyRing, Instant], KeyRing],
        *,
        by: Initiator,
        facts: dict[str, str],
        dry_run: bool,
    ) -> Turned:
        if dry_run:
            await self._keys.reload(at_once=True)
            former = self._keys.ring
            ring = make(former, self._clock.now())
        else:
            former, ring = await self._writing.change(make, by=by, facts=dict(facts), project=project)
        before, after = former.held(), ring.held()
        refused = await self._use.refused(project, lost_between(before, after), self._clock.now())
        changed = [key for key in after if key not in set(before)]
        if dry_run:  # a key that is drawn for trial is not the one that will be
            names = {key.name for key in before}
            changed = [key for key in changed if key.name in names]
        return Turned(keys=changed, refused=refused)
