"""What runs beside the requests: last uses are written, the witness and the keys kept, what ended is purged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sessiond.bootstrap.opening import Opened
from sessiond.domain.errors import SessiondError
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.instants import Instant, millis
from sessiond.domain.projects import CONTROL_PARTITION
from sessiond.domain.rules import PurgeRules
from sessiond.domain.startup import Witness
from sessiond.services.audit_sealing import Sealer
from sessiond.services.ports import Change, Store

_SECOND = 1.0
_HEADS_EVERY_SECONDS = 10.0
_ATTEMPTS_EVERY_SECONDS = 60.0
_PURGE_EVERY_SECONDS = 60.0
_BITE = 200
_REST_SECONDS = 0.05
_PAUSE_AFTER_STEP_MS = 3_600_000

_logger = logging.getLogger("sessiond")


async def purge_bite(store: Store, sealer: Sealer, rules: PurgeRules, now: Instant, *, limit: int) -> int:
    """Remove at most *limit* records and *limit* events whose time to be readable is over; return how many went.

    An event stays until it is sealed, and its whole hour is over.
    """
    gone = await store.purge(ended_before=now - millis(rules.ended_sessions), due_before=now, limit=limit)
    before = await sealer.allow_purge(now - millis(rules.events))
    return gone + await store.purge_events(before=before, limit=limit)


class Background:
    """The tasks of one server. Each goes on after a refusal of the store; a defect is logged, and it goes on, too.

    *purge_rules* may be replaced at any time.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.purge_rules = opened.settings.purge
        self._witness: Witness | None = None
        self._paused_until: Instant = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every task on the running loop."""
        self._tasks = [
            asyncio.create_task(self._forever(_SECOND, self.each_second), name="each second"),
            asyncio.create_task(self._forever(_SECOND, self.seal), name="seal"),
            asyncio.create_task(self._forever(_HEADS_EVERY_SECONDS, self.tell_heads), name="tell heads"),
            asyncio.create_task(
                self._forever(_ATTEMPTS_EVERY_SECONDS, self.tell_attempts), name="tell attempts"
            ),
            asyncio.create_task(self._forever(_PURGE_EVERY_SECONDS, self.purge), name="purge"),
            asyncio.create_task(self._forever(_PURGE_EVERY_SECONDS, self.keep_keys), name="keep keys"),
        ]

    async def stop(self) -> None:
        """End every task, and do once more what they did each second."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._safely(self.each_second)
        await self._safely(self.tell_attempts)
        await self._safely(self.seal)
        await self._safely(self._opened.services.sealer.release)
        await self.tell_heads()

    async def seal(self) -> None:
        """Chain what happened, where this process is the one that does."""
        more = True
        while more:
            more = await self._opened.services.sealer.seal()

    async def tell_attempts(self) -> None:
        """Write down how often attempts were refused."""
        await self._opened.services.refused_attempts.flush()

    async def tell_heads(self) -> None:
        """Log the signed end of each chain that grew: who keeps the log elsewhere notices a chain that was cut."""
        for head in self._opened.services.sealer.take_new_heads():
            signed = {"project": head.project, "head": head.text(), "signature": head.signature.hex()}
            _logger.info("the audit was sealed", extra=signed)

    async def each_second(self) -> None:
        """Look whether the store is the one that was opened, write what waits, keep the witness, activate keys."""
        opened = self._opened
        opened.store.check()
        await opened.services.touches.flush()
        await self._tell_steps()
        if opened.witnessed:
            witness = await opened.services.recovery.witness()
            if witness != self._witness:
                await asyncio.to_thread(opened.files.write_witness, witness)
                self._witness = witness
        else:
            await opened.services.keys.reload()
        await opened.services.rotating.activate_due()

    async def keep_keys(self) -> None:
        """Look at what retired keys hold, bite by bite, and destroy the keys that nothing needs."""
        while not self._opened.clock.leads_wall:
            if not await self._opened.services.key_keeping.bite(limit=_BITE):
                return
            await asyncio.sleep(_REST_SECONDS)

    async def purge(self) -> None:
        """Remove what has been over for long enough, bite by bite; not while the clock cannot be trusted.

        Of the subjects, so many are looked at each time: those that nobody uses any more can wait.
        """
        opened = self._opened
        while await self._may_purge():
            sealer, now = opened.services.sealer, opened.clock.now()
            if not await purge_bite(opened.store, sealer, self.purge_rules, now, limit=_BITE):
                await opened.services.stale_subjects.sweep(self.purge_rules.anonymous_subjects, limit=_BITE)
                return
            await asyncio.sleep(_REST_SECONDS)

    async def _may_purge(self) -> bool:
        await self._tell_steps()  # a step may be noticed here first
        return self._opened.clock.now() >= self._paused_until and not self._opened.clock.leads_wall

    async def _tell_steps(self) -> None:
        opened = self._opened
        now = opened.clock.now()
        for step in opened.clock.take_steps():
            self._paused_until = now + _PAUSE_AFTER_STEP_MS
            _logger.warning("the system clock stepped", extra={"step_ms": step})
            event = Event(
                type=EventType.CLOCK_STEPPED,
                at=now,
                partition=CONTROL_PARTITION,
                project=DEFAULT_PROJECT,
                data={"step_ms": step},
            )
            await opened.store.apply(Change.telling(event))

    async def _forever(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._safely(work)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except SessiondError as error:
            _logger.warning("background work was refused", extra={"reason": str(error)})
        except Exception:
            _logger.exception("background work failed")
