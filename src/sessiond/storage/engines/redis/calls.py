"""Calling: each call goes to the server that has its slot, follows it when it moves, and gets an answer or a refusal.

What a server refused was not done, so it may be asked again, there or elsewhere. What was sent on a link that was then
lost may have been done: a read is repeated once, a write never; its caller hears `Unavailable`, and nothing is claimed.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, cast

import hiredis

from sessiond.domain.errors import Unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.failures import Moving, is_moving, refused
from sessiond.storage.engines.redis.link import Answer, LinkLost
from sessiond.storage.engines.redis.nodes import Lane, Nodes
from sessiond.storage.engines.redis.sending import Answered, Sending, Where

MIGRATION_SECONDS = 5.0
PAUSE_SECONDS = 0.02
_MOST_TRIES_OF_A_LOST_LINK = 2

Outcome = Answer | Unavailable
_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")
_Places = Mapping[Where, Sequence[int]]
"""Which calls go where, by their numbers."""


async def while_moving(attempt: Callable[[_Asked], Awaitable[_Told]], asked: _Asked) -> _Told:
    """Return what *attempt* comes to for *asked*, once that is not being moved any more."""
    deadline: float | None = None
    while True:
        try:
            return await attempt(asked)
        except Moving:
            now = asyncio.get_running_loop().time()
            if deadline is None:
                deadline = now + MIGRATION_SECONDS
            elif now > deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


class Caller:
    """Carries calls to the servers."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._sending = Sending(nodes)

    async def call(self, calls: Sequence[Call], lane: Lane) -> list[Outcome]:
        """Return for each call its answer, or the `Unavailable` that it came to.

        On the lane of writes an answer means that as many replicas as are asked for have it. Calls to data that is
        being moved are repeated until it has been.
        """
        carrying = _Carrying(self._nodes, calls, lane, patient=True)
        await self._carry(carrying, carrying.places())
        return carrying.outcomes

    def start(
        self, address: Address, calls: Sequence[Call], lane: Lane, done: Callable[[Sequence[Outcome]], None]
    ) -> None:
        """Carry *calls*, the slots of which *address* had when they were asked for; *done* hears what they come to.

        Calls to data that is being moved come to `Moving` at once, so that the others need not wait for them. Where all
        goes well no task is made. *done* is called once, and must not raise.
        """
        for call in calls:
            if not self._nodes.has(address, call.slot):
                self._go_on(calls, lane, done, None)
                return
        where = Where(address)

        def take(answers: Answered) -> None:
            self._go_on(calls, lane, done, (where, answers))

        self._sending.send(where, calls, lane, take, clear=done)

    def _go_on(
        self,
        calls: Sequence[Call],
        lane: Lane,
        done: Callable[[Sequence[Outcome]], None],
        told: tuple[Where, Answered] | None,
    ) -> None:
        """Carry on with *calls* in a task, after what a server *told*."""
        carrying = _Carrying(self._nodes, calls, lane, patient=False)

        async def carry_on() -> None:
            if told is None:
                places, pause = carrying.places(), False
            else:
                where, answers = told
                places, pause = carrying.learn({where: range(len(calls))}, [answers])
            await self._carry(carrying, places, pause=pause)
            done(carrying.outcomes)

        def take(answers: Answered) -> None:
            done([refused(answer) if isinstance(answer, LinkLost) else answer for answer in answers])

        self._sending.see_to(carry_on(), take, len(calls))

    async def _carry(self, carrying: _Carrying, places: _Places, *, pause: bool = False) -> None:
        """Send what has to go to *places*, and again where that turns out to be elsewhere."""
        while places:
            if pause:
                await asyncio.sleep(PAUSE_SECONDS)
            found = await self._ask(carrying, places)
            places, pause = carrying.learn(places, found)

    async def _ask(self, carrying: _Carrying, places: _Places) -> Sequence[Answered]:
        """Return what came to each place, in order."""
        loop = asyncio.get_running_loop()
        waiters: list[asyncio.Future[Answered]] = []
        for where, members in places.items():
            waiter: asyncio.Future[Answered] = loop.create_future()
            waiters.append(waiter)
            calls = [carrying.calls[n] for n in members]
            self._sending.send(where, calls, carrying.lane, functools.partial(_settle, waiter))
        return [await waiter for waiter in waiters]


class _Carrying:
    """How far so many calls have come: those that are settled have their outcome."""

    def __init__(self, nodes: Nodes, calls: Sequence[Call], lane: Lane, *, patient: bool) -> None:
        self.calls = calls
        self.lane = lane
        self.outcomes: list[Outcome] = [None] * len(calls)
        self._nodes = nodes
        self._patient = patient
        self._losses: dict[int, int] = {}
        self._time = asyncio.get_running_loop().time
        self._deadline = self._time() + MIGRATION_SECONDS

    def places(self) -> _Places:
        """Return which calls go where at first; those that can go nowhere have their outcome."""
        groups: dict[Address, list[int]] = {}
        for n, call in enumerate(self.calls):
            try:
                groups.setdefault(self._nodes.address_of(call.slot), []).append(n)
            except Unavailable as refusal:
                self.outcomes[n] = refusal
        return {Where(address): members for address, members in groups.items()}

    def learn(self, places: _Places, found: Sequence[Answered]) -> tuple[_Places, bool]:
        """Take what came to *places*; return which calls have to go where now, and whether after a pause."""
        again: dict[Where, list[int]] = {}
        pause = False
        for (where, members), answers in zip(places.items(), found, strict=True):
            for n, answer in zip(members, answers, strict=True):
                if not isinstance(answer, (hiredis.ReplyError, LinkLost)):
                    self.outcomes[n] = answer
                    continue
                place = self._next(answer, where, n)
                if place is None or self._time() > self._deadline:
                    self.outcomes[n] = refused(answer)
                elif is_moving(answer) and not self._patient:
                    self.outcomes[n] = Moving()
                elif isinstance(place, Unavailable):
                    self.outcomes[n] = place
                else:
                    again.setdefault(place, []).append(n)
                    pause = pause or is_moving(answer)
        return again, pause

    def _next(
        self, answer: hiredis.ReplyError | LinkLost, where: Where, n: int
    ) -> Where | Unavailable | None:
        """Return where a call that was refused or lost has to go next, None where it has failed."""
        if isinstance(answer, LinkLost):
            losses = self._losses[n] = self._losses.get(n, 0) + 1
            again = losses < _MOST_TRIES_OF_A_LOST_LINK and (self.lane is Lane.READ or not answer.sent)
            return self._place(self.calls[n].slot) if again else None
        return self._after(answer, where, self.calls[n])

    def _after(self, error: hiredis.ReplyError, where: Where, call: Call) -> Where | Unavailable | None:
        """Return where a call that was refused has to go next, None where it has failed."""
        kind, *rest = str(error).split(" ")
        if kind in {"MOVED", "ASK"}:
            host, _, port = rest[1].rpartition(":")
            address = Address(host or where.address.host, int(port))
            if kind == "MOVED":
                self._nodes.moved(call.slot, address)
            return Where(address, asking=kind == "ASK")
        if kind == "TRYAGAIN":
            return self._place(call.slot)
        return where if kind == "NOSCRIPT" else None

    def _place(self, slot: int) -> Where | Unavailable:
        try:
            return Where(self._nodes.address_of(slot))
        except Unavailable as refusal:
            return refusal


def _settle(waiter: asyncio.Future[Answered], answers: Answered) -> None:
    if not waiter.done():  # who waited may have been cancelled
        waiter.set_result(answers)


def answer_of(outcome: Outcome) -> Answer:
    """Return the answer in *outcome*, or raise its refusal."""
    if isinstance(outcome, Unavailable):
        raise outcome
    return outcome


def values_of(outcome: Outcome) -> list[bytes | None]:
    """Return the values in the answer of a reading script."""
    return cast("list[bytes | None]", answer_of(outcome))
