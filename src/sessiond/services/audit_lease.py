"""The lease of the audit: who seals, of all processes of a deployment, and from when on events may be purged."""

from __future__ import annotations

import msgspec

from sessiond.domain.audit_chain import LEASE_MS, RENEWED_EVERY_MS, Lease, Told, lease_key
from sessiond.domain.errors import Conflict
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId
from sessiond.domain.instants import Instant
from sessiond.services.audit_chains import tag_of
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Store

_ATTEMPTS = 3
_SETTLED_MS = 60_000
_HOUR_MS = 3_600_000

Place = tuple[Partition, int]
"""Where an event lies: its partition and its sequence there."""


class Holding(msgspec.Struct):
    """What the holder of the lease knows, from taking it to losing it.

    Up to the turn *taken* nobody before sealed anything beyond the mark of then. *mark* is how far events were read,
    *sealed* how far all were sealed by the end of *sealed_turn*. What is *waiting* was read in the present *turn*; of
    the projects in *unsure* a write may have happened. *looked_at* was when all had been looked for everywhere and was
    sealed. Until it was, *former* says what holders before sealed in each project that was written since: some of it
    may not have been read yet.
    """

    lease: Lease
    taken: int
    mark: bytes
    sealed: bytes
    turn: int
    sealed_turn: int
    sealed_until: Instant
    looked_at: Instant = 0
    waiting: dict[ProjectId, list[Told]] = {}
    unsure: set[ProjectId] = set()
    former: dict[ProjectId, set[Place]] = {}

    @classmethod
    def of(cls, lease: Lease) -> Holding:
        """Return what is known to who has just taken *lease*."""
        return cls(
            lease=lease,
            taken=lease.turn,
            mark=lease.mark,
            sealed=lease.mark,
            turn=lease.turn,
            sealed_turn=lease.turn,
            sealed_until=lease.sealed_until,
        )

    def keeps(self, lease: Lease) -> bool:
        """Tell whether *lease* is still the one that was taken."""
        return lease.fence == self.lease.fence

    def as_of(self, lease: Lease) -> Lease:
        """Return *lease* with how far its holder has come.

        The turn stays that of then as long as holders before may have sealed something beyond the mark.
        """
        turn = self.sealed_turn if self.looked_at else self.taken
        return msgspec.structs.replace(lease, mark=self.sealed, turn=turn, sealed_until=self.sealed_until)


class SealingLease:
    """Takes, renews and releases the lease for one process, which *name* tells from the others."""

    def __init__(self, store: Store, keys: Keys, clock: Clock, *, name: str) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._name = name

    async def held(self, holding: Holding | None) -> Holding | None:
        """Return what this process holds, renewed where it is time; None while somebody else has the lease.

        *holding* is what it held before.
        """
        now = self._clock.now()
        if holding is not None and LEASE_MS - RENEWED_EVERY_MS < holding.lease.until - now <= LEASE_MS:
            return holding
        for _ in range(_ATTEMPTS):
            found = await self._lease()
            mine = holding if found is not None and holding is not None and holding.keeps(found) else None
            # One of its own that it does not hold was written by a call that was given up before the answer came.
            elsewhere = found is not None and mine is None and found.holder != self._name
            if found is not None and elsewhere and not found.is_free(now):
                return None
            former = found or Lease(version=0, holder="", until=0, fence=0)
            following = former.taken(self._name, now) if mine is None else mine.as_of(former).renewed(now)
            try:
                written = await self._write(following, former.version)
            except Conflict:
                continue
            if mine is None:
                return Holding.of(written)
            mine.lease = written
            return mine
        return None

    async def release(self, holding: Holding) -> None:
        """Let go of the lease, so that another takes it at once."""
        try:
            await self._write(holding.as_of(holding.lease).released(), holding.lease.version)
        except Conflict:
            return  # somebody has taken it already

    async def allow_purge(self, before: Instant) -> Instant:
        """Note that events of before an instant may go, where they are sealed; return before which they may.

        It moves in whole hours, and stays a minute behind the sealing: the clocks of nodes differ.
        """
        for _ in range(_ATTEMPTS):
            lease = await self._lease()
            if lease is None:
                return 0
            allowed = min(before, lease.sealed_until - _SETTLED_MS) // _HOUR_MS * _HOUR_MS
            if allowed <= lease.purged_before:
                return min(before, lease.purged_before)
            noted = msgspec.structs.replace(lease, purged_before=allowed, version=lease.version + 1)
            try:
                await self._write(noted, lease.version)
            except Conflict:
                continue
            return allowed
        return 0

    async def _lease(self) -> Lease | None:
        found = await self._store.get(lease_key())
        return found if isinstance(found, Lease) else None

    async def _write(self, lease: Lease, version: int) -> Lease:
        """Write the lease if its version is still *version*; else `Conflict`."""
        signed = lease.signed(tag_of(self._keys, DEFAULT_PROJECT))
        key = signed.key
        await self._store.apply(Change(partition=key.partition, expects={key: version}, puts=[signed]))
        return signed
