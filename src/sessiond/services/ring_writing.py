"""Writing the key ring: a change is made from the newest ring and swapped in whole, with the event that tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sessiond.crypto.ring import KeyRing
from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId
from sessiond.domain.initiators import Initiator
from sessiond.domain.instants import Instant
from sessiond.domain.projects import CONTROL_PARTITION, EPOCH_ENTROPY, Epoch, draw_epoch
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys, Wrapping
from sessiond.services.ports import Change, Clock, Entropy, Store

Facts = Mapping[str, str | int | None]


class RingWriting:
    """Swaps the ring of the deployment."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, entropy: Entropy, *, contention: Contention
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._entropy = entropy
        self._contention = contention

    async def change(
        self,
        make: Callable[[KeyRing, Instant], KeyRing],
        *,
        by: Initiator,
        facts: Facts,
        project: ProjectId = DEFAULT_PROJECT,
    ) -> tuple[KeyRing, KeyRing]:
        """Swap the ring for what *make* makes of it; return the former and the new one, the same if nothing changed.

        *make* may be called again, with a newer ring, when somebody else wrote first.
        """
        return await self._swap(make, by=by, facts=facts, project=project)

    async def reseal(self, wrapping: Wrapping, *, by: Initiator, facts: Facts) -> None:
        """Seal the ring, as it is, under another wrapping key."""
        await self._swap(lambda ring, _: ring, by=by, facts=facts, wrapping=wrapping)

    async def start_over(
        self,
        make: Callable[[KeyRing, Instant], KeyRing],
        wrapping: Wrapping,
        *,
        by: Initiator,
        facts: Facts,
    ) -> None:
        """Swap the ring, seal it under another wrapping key, and end every session, in one write."""
        epoch = draw_epoch(self._entropy.bytes(EPOCH_ENTROPY))
        await self._swap(make, by=by, facts=facts, wrapping=wrapping, epoch=epoch)

    async def _swap(
        self,
        make: Callable[[KeyRing, Instant], KeyRing],
        *,
        by: Initiator,
        facts: Facts,
        project: ProjectId = DEFAULT_PROJECT,
        wrapping: Wrapping | None = None,
        epoch: Epoch | None = None,
    ) -> tuple[KeyRing, KeyRing]:
        async def attempt() -> tuple[KeyRing, KeyRing]:
            await self._keys.reload(at_once=True)
            old, former, now = self._keys.deployment, self._keys.ring, self._clock.now()
            ring = make(former, now)
            if ring is former and wrapping is None:
                return former, former
            key = None if wrapping is None else wrapping.key
            renewed = msgspec.structs.replace(
                old,
                epoch=old.epoch if epoch is None else epoch,
                ring=self._keys.seal(ring, self._entropy, key),
                wrapped_key=old.wrapped_key if wrapping is None else wrapping.wrapped,
                ring_version=old.ring_version + 1,
                version=old.version + 1,
            )
            event = by.did(
                EventType.KEYS_CHANGED,
                at=now,
                partition=CONTROL_PARTITION,
                project=project,
                data=facts,
            )
            await self._store.apply(Change.replacing(old, renewed, event))
            self._keys.adopt(renewed, key)
            return former, self._keys.ring

        return await self._contention.settle((DEFAULT_PROJECT, "deployment"), attempt)
