"""Rate limits: each request that counts takes one from its key's allowance, which all nodes share.

A share is reserved in the store, in one compare-and-swap, and spent in memory: most requests write nothing. Where
memory forgets a key, what it had not spent is lost: that makes the limit stricter, never laxer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from weakref import WeakValueDictionary

from sessiond.crypto.purposes import Purpose
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId, SubjectId
from sessiond.domain.rate_limits import (
    Allotment,
    Quota,
    RateLimit,
    RateLimited,
    Share,
    limits_of,
    take_share,
)
from sessiond.domain.rules import LimitRules
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Store
from sessiond.services.tokens import Tokens

_KEPT = 50_000

_Name = tuple[ProjectId, bytes]


class RateLimits:
    """Counts requests by name of limit, project and key; the shares of at most *kept* keys are in memory.

    *decisions* counts, by name of limit, the requests that were let through and those that were not.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        *,
        tokens: Tokens,
        contention: Contention,
        rules: LimitRules,
        kept: int = _KEPT,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._tokens = tokens
        self._contention = contention
        self._kept = kept
        self._limits = limits_of(rules)
        self.decisions: Counter[tuple[str, bool]] = Counter()
        self._shares: dict[_Name, Share] = {}
        self._locks: WeakValueDictionary[_Name, asyncio.Lock] = WeakValueDictionary()

    def use(self, rules: LimitRules) -> None:
        """Go on by *rules*; what a limit that changes has already let through in a window counts in it."""
        self._limits = limits_of(rules)

    def limited(self, limit_name: str) -> bool:
        """Tell whether there is such a limit."""
        return limit_name in self._limits

    async def take(self, limit_name: str, project: ProjectId, key: str) -> Quota | None:
        """Count one request of *key* and return what is left; None where there is no such limit.

        Raises `RateLimited` (`too_many_requests`) when nothing is left, and then takes nothing.
        """
        limit = self._limits.get(limit_name)
        if limit is None:
            return None
        name = (project, self._keys.lookup(Purpose.LOOKUP_COUNTER, f"limit|{limit_name}|{key}", project))
        share = self._held(name, limit)
        if share is None or (not share.granted and share.left):
            share = await self._reserved(name, limit)
        self.decisions[limit_name, share.granted > 0] += 1
        if not share.granted:
            raise RateLimited(share.quota(self._clock.now()))
        share = share.spent()
        self._keep(name, share)
        return share.quota(self._clock.now())

    def project_of(self, text: str) -> ProjectId | None:
        """Return the project of a token that is ours by its MAC or signature, else None; no store is touched."""
        try:
            return self._tokens.recognise(text).project
        except Unauthenticated as refusal:
            refusal.forget_where()
            return None

    async def _reserved(self, name: _Name, limit: RateLimit) -> Share:
        """Return a share with something in it, or one that says that nothing is left; one reserves for all who wait."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        async with lock:
            share = self._held(name, limit)
            if share is None or (not share.granted and share.left):
                project, digest = name
                share = await self._contention.settle(
                    (project, digest.hex()), lambda: self._reserve(name, limit)
                )
                self._keep(name, share)
            return share

    async def _reserve(self, name: _Name, limit: RateLimit) -> Share:
        project, digest = name
        partition = self._keys.partition(project, SubjectId(f"limit|{digest.hex()}"))
        empty = Allotment(project=project, partition=partition, name=digest, until=0, taken=0, version=0)
        found = await self._store.get(empty.key)
        held = found if isinstance(found, Allotment) else empty
        after, share = take_share(held, limit, self._clock.now())
        if share.granted:
            await self._store.apply(Change.replacing(held, after))
        return share

    def _held(self, name: _Name, limit: RateLimit) -> Share | None:
        """Return what is left of the last share; none of a window that is over, or of a limit that has changed."""
        share = self._shares.get(name)
        usable = share is not None and self._clock.now() < share.until and share.limit == limit
        return share if usable else None

    def _keep(self, name: _Name, share: Share) -> None:
        """Keep the share as the one used last; the one that was used longest ago makes room."""
        self._shares.pop(name, None)
        if len(self._shares) >= self._kept:
            del self._shares[next(iter(self._shares))]
        self._shares[name] = share
