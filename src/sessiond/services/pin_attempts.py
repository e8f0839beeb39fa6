"""Failed PIN attempts, counted durably: reserved before a PIN is looked at, given back by a success.

All counters of a project lie in one partition, so that the three of an attempt are read, judged and written as one
change: attempts in parallel cannot pass where one after the other could not. Attempts at names that nobody has fall
into a fixed number of slots, by a keyed hash, so that guessing names fills no disk and no guessed name is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from sessiond.crypto.purposes import Purpose
from sessiond.domain.ids import Partition, ProjectId, SubjectId
from sessiond.domain.instants import Instant
from sessiond.domain.pins import (
    Attempts,
    Counted,
    cleared,
    closed,
    known_since,
    limit_of,
    released,
    reopened,
    reserved,
    succeeded,
    throttled,
    wait_of,
)
from sessiond.domain.records import Key, Kind
from sessiond.domain.rules import PinRules
from sessiond.services.contention import Contention
from sessiond.services.keys import Keys
from sessiond.services.ports import Change, Clock, Observer, Selection, Store

_CONTENDED = "pin attempts"
_PLACE = SubjectId("\0pin attempts")
_SLOTS = 65_536
_PAGE = 200


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who tries to sign in as whom, from where.

    *pin_set_at* is None for a name that nobody has. *cookie* is a known client's text that passed.
    """

    project: ProjectId
    subject: SubjectId
    network: str
    pin_set_at: Instant | None = None
    cookie: str | None = None

    def __repr__(self) -> str:
        return f"Claim(subject={self.subject!r}, network={self.network!r}, …)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("subject", self.subject), ("network", self.network)]


class Reservation(msgspec.Struct, frozen=True):
    """An attempt that was counted as a failure and may now be looked at.

    *counters* are as it left them, by this process' change of that number.
    """

    claim: Claim
    counted: frozenset[Counted]
    counters: Mapping[Counted, Attempts]
    change: int


class PinAttempts:
    """Counts attempts by the limits of *rules*; names that nobody has share *slots* counters of each sort."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        observer: Observer,
        *,
        contention: Contention,
        rules: PinRules,
        slots: int = _SLOTS,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._observer = observer
        self._contention = contention
        self._rules = rules
        self._slots = slots
        self._changes = 0
        self._limits = {counted: limit_of(counted, rules) for counted in Counted}

    def partition(self, project: ProjectId) -> Partition:
        """Return where the counters of *project* lie."""
        return self._keys.partition(project, _PLACE)

    async def reserve(self, claim: Claim) -> Reservation:
        """Count the attempt as a failure, or raise `Throttled` (`too_many_attempts`) and count nothing."""

        async def attempt() -> Reservation:
            now, counters = self._clock.now(), await self._read(claim)
            counted = frozenset(counters) - self._exempt(claim, counters, now)
            wait = max(wait_of(counters[each], self._limits[each], now) for each in counted)
            if wait:
                self._observer.count("pin_throttled")
                raise throttled(wait)
            puts = {each: reserved(counters[each], self._limits[each], now) for each in counted}
            change = await self._apply(claim.project, counters.values(), puts.values())
            return Reservation(claim, counted, counters | puts, change)

        return await self._contention.settle((claim.project, _CONTENDED), attempt)

    async def succeed(self, reservation: Reservation) -> None:
        """Take the failure back: the client is known now, and its account is open."""
        claim = reservation.claim

        async def attempt() -> None:
            now, puts = self._clock.now(), []
            # Mostly nobody changed them while the PIN was looked at. Where another process did, that is a conflict.
            untouched = reservation.change == self._changes
            counters = reservation.counters if untouched else await self._read(claim)
            for each, old in counters.items():
                if each is Counted.ACCOUNT_AT_ADDRESS:
                    puts.append(succeeded(old, self._rules, now))
                elif each in reservation.counted:
                    puts.append(released(old))
                elif old.consecutive:
                    puts.append(reopened(old))
            await self._apply(claim.project, counters.values(), puts)

        await self._contention.settle((claim.project, _CONTENDED), attempt)

    async def closed(self, project: ProjectId, subjects: Sequence[SubjectId]) -> Sequence[bool]:
        """Tell of each account whether it is closed to clients that are not known."""
        partition = self.partition(project)
        keys = [
            Key(Kind.ATTEMPTS, partition, project, self._id(project, f"account|{subject}"))
            for subject in subjects
        ]
        limit = self._limits[Counted.ACCOUNT]
        rows = await self._store.get_many(keys)
        return [isinstance(row, Attempts) and closed(row, limit) for row in rows]

    async def unlock(self, project: ProjectId, subject: SubjectId) -> None:
        """Forget the account's failures everywhere; known clients stay known."""
        await self._each(project, subject, lambda rows: ([cleared(row) for row in rows], ()))

    async def forget(self, project: ProjectId, subject: SubjectId) -> None:
        """Remove the account's counters; no client is known any more."""
        await self._each(project, subject, lambda rows: ((), [row.key for row in rows]))

    async def _each(
        self,
        project: ProjectId,
        subject: SubjectId,
        change: Callable[[Sequence[Attempts]], tuple[Sequence[Attempts], Sequence[Key]]],
    ) -> None:
        selection = Selection(kind=Kind.ATTEMPTS, project=project, owner=subject)
        found = await self._store.scan(selection, limit=_PAGE)
        keys = [row.key for row in found]
        done = 0
        while keys:

            async def attempt(keys: Sequence[Key] = keys) -> int:
                rows = [row for row in await self._store.get_many(keys) if isinstance(row, Attempts)]
                puts, deletes = change(rows)
                await self._apply(project, rows, puts, deletes)
                return len(puts)

            done += await self._contention.settle((project, _CONTENDED), attempt)
            keys = [row.key for row in await self._store.scan(selection, limit=_PAGE, offset=done)]

    def _exempt(self, claim: Claim, counters: Mapping[Counted, Attempts], now: Instant) -> set[Counted]:
        """Return what does not count for a known client: the account's own counter, which strangers can fill."""
        if claim.cookie is not None:
            return {Counted.ACCOUNT}
        here = counters[Counted.ACCOUNT_AT_ADDRESS].succeeded_at
        known = claim.pin_set_at is not None and known_since(
            here, claim.pin_set_at, now=now, rules=self._rules
        )
        return {Counted.ACCOUNT} if known else set()

    async def _read(self, claim: Claim) -> dict[Counted, Attempts]:
        blank = self._blank(claim)
        rows = await self._store.get_many([each.key for each in blank.values()])
        return {
            counted: row if isinstance(row, Attempts) else blank[counted]
            for counted, row in zip(blank, rows, strict=True)
        }

    def _blank(self, claim: Claim) -> dict[Counted, Attempts]:
        """Return the counters of an attempt as they are before any."""
        names = {
            Counted.ACCOUNT_AT_ADDRESS: f"account_at_address|{claim.network}|{claim.subject}",
            Counted.ADDRESS: f"address|{claim.network}",
            Counted.ACCOUNT: f"account|{claim.subject}",
        }
        if claim.cookie is not None:
            names[Counted.KNOWN_COOKIE] = f"known_cookie|{claim.cookie}"
        account = claim.subject if claim.pin_set_at is not None else None
        partition = self.partition(claim.project)
        blank = {}
        for counted, name in names.items():
            own = counted is Counted.ADDRESS
            digest = self._id(claim.project, name)
            slot = f"{counted.value}|{int.from_bytes(digest) % self._slots}".encode()
            blank[counted] = Attempts(
                project=claim.project,
                partition=partition,
                id=digest if own or account is not None else slot,
                account=None if own else account,
                version=0,
            )
        return blank

    def _id(self, project: ProjectId, name: str) -> bytes:
        return self._keys.lookup(Purpose.LOOKUP_COUNTER, name, project)

    async def _apply(
        self,
        project: ProjectId,
        read: Iterable[Attempts],
        puts: Iterable[Attempts],
        deletes: Sequence[Key] = (),
    ) -> int:
        """Write what follows from what was *read*, and return which of this process' changes that is."""
        self._changes = change = self._changes + 1
        expects = {row.key: row.version for row in read}
        await self._store.apply(
            Change(partition=self.partition(project), expects=expects, puts=list(puts), deletes=deletes)
        )
        return change
