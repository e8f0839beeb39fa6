"""Calling: each call goes to the server that has its slot, follows it when it moves, and gets an answer or a refusal.

What a server refused was not done, so it may be asked again, there or elsewhere. What was sent on a link that was then
lost may have been done: a read is repeated once, a write never; its caller hears `Unavailable`, and nothing is claimed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import hiredis

from sessiond.domain.errors import Unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.failures import Moving, is_moving, refused
from sessiond.storage.engines.redis.link import ANSWER_SECONDS, Answer, Command, LinkLost
from sessiond.storage.engines.redis.nodes import Lane, Node, Nodes, kind_of
from sessiond.storage.engines.redis.scripts import scripts

_LOG = logging.getLogger("sessiond.storage.redis")

WAIT_MILLISECONDS = 1000
MIGRATION_SECONDS = 5.0
PAUSE_SECONDS = 0.02
_REPLICAS_ASKED_EVERY_SECONDS = 0.5
_MOST_TRIES_OF_A_LOST_LINK = 2

_MAP_CHANGED = frozenset({"CLUSTERDOWN", "MASTERDOWN", "READONLY"})


class Call(NamedTuple):
    """A command, and the slot of the keys in it."""

    slot: int
    command: Command


def script_call(name: str, slot: int, keys: Sequence[bytes], arguments: Sequence[bytes | str | int]) -> Call:
    """Return the call of a script; *keys* are all that it touches."""
    return Call(slot, ("EVALSHA", scripts()[name].digest, len(keys), *keys, *arguments))


class _Where(NamedTuple):
    address: Address
    asking: bool = False


class _Sent(NamedTuple):
    """What went to one server: the answer to each of so many *calls* is the last of *step*.

    Behind these comes how many replicas have what was written, of the *wanted* ones, unless that is None; at last its
    role, if it *asks* for that.
    """

    told: asyncio.Future[list[Answer]]
    calls: int
    step: int
    wanted: int | None = None
    asks: bool = False


class _Begun(NamedTuple):
    """What is under way to one server, and what comes to its answers."""

    sent: asyncio.Future[Any]
    answers: Coroutine[Any, Any, Sequence[Answer | LinkLost]]


Outcome = Answer | Unavailable
_Asked = TypeVar("_Asked")
_Told = TypeVar("_Told")


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

    async def call(self, calls: Sequence[Call], lane: Lane, *, patient: bool = True) -> list[Outcome]:
        """Return for each call its answer, or the `Unavailable` that it came to.

        On the lane of writes an answer means that as many replicas as are asked for have it. Calls to data that is
        being moved are repeated until it has been, unless *patient* is False: then they come to `Moving` at once, so
        that others need not wait for them.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MIGRATION_SECONDS
        outcomes: list[Outcome] = [None] * len(calls)
        losses: dict[int, int] = {}
        groups = self._placed(calls, outcomes)
        while groups:
            begun = [
                self._begin(where, [calls[n] for n in members], lane) for where, members in groups.items()
            ]
            found = await _all(begun)
            again: dict[_Where, list[int]] = {}
            pause = False
            for (where, members), answers in zip(groups.items(), found, strict=True):
                for n, answer in zip(members, answers, strict=True):
                    if not isinstance(answer, (hiredis.ReplyError, LinkLost)):
                        outcomes[n] = answer
                        continue
                    losses[n] = losses.get(n, 0) + isinstance(answer, LinkLost)
                    place = self._next(answer, where, calls[n], lane, losses[n])
                    if place is None or loop.time() > deadline:
                        outcomes[n] = refused(answer)
                    elif is_moving(answer) and not patient:
                        outcomes[n] = Moving()
                    elif isinstance(place, Unavailable):
                        outcomes[n] = place
                    else:
                        again.setdefault(place, []).append(n)
                        pause = pause or is_moving(answer)
            if pause:
                await asyncio.sleep(PAUSE_SECONDS)
            groups = again
        return outcomes

    def _placed(self, calls: Sequence[Call], outcomes: list[Outcome]) -> dict[_Where, list[int]]:
        """Return which calls go where at first; those that can go nowhere have their outcome."""
        groups: dict[Address, list[int]] = {}
        for n, call in enumerate(calls):
            try:
                groups.setdefault(self._nodes.address_of(call.slot), []).append(n)
            except Unavailable as refusal:
                outcomes[n] = refusal
        return {_Where(address): members for address, members in groups.items()}

    def _place(self, slot: int) -> _Where | Unavailable:
        try:
            return _Where(self._nodes.address_of(slot))
        except Unavailable as refusal:
            return refusal

    def _next(
        self, answer: hiredis.ReplyError | LinkLost, where: _Where, call: Call, lane: Lane, losses: int
    ) -> _Where | Unavailable | None:
        """Return where a call that was refused or lost has to go next, None where it has failed."""
        if isinstance(answer, LinkLost):
            again = losses < _MOST_TRIES_OF_A_LOST_LINK and (lane is Lane.READ or not answer.sent)
            return self._place(call.slot) if again else None
        return self._after(answer, where, call)

    def _after(self, error: hiredis.ReplyError, where: _Where, call: Call) -> _Where | Unavailable | None:
        """Return where a call that was refused has to go next, None where it has failed."""
        kind, *rest = str(error).split(" ")
        if kind in {"MOVED", "ASK"}:
            host, _, port = rest[1].rpartition(":")
            address = Address(host or where.address.host, int(port))
            if kind == "MOVED":
                self._nodes.moved(call.slot, address)
            return _Where(address, asking=kind == "ASK")
        if kind == "TRYAGAIN":
            return self._place(call.slot)
        return where if kind == "NOSCRIPT" else None

    def _begin(self, where: _Where, calls: Sequence[Call], lane: Lane) -> _Begun:
        """Send to one server; where it is linked that needs no task."""
        node = self._nodes.linked(where.address, lane)
        if node is None:
            task = asyncio.create_task(self._at(where, calls, lane))
            return _Begun(task, _result(task))
        sent = self._send(node, where, calls, lane)
        return _Begun(sent.told, self._answers(where, node, sent))

    async def _at(self, where: _Where, calls: Sequence[Call], lane: Lane) -> Sequence[Answer | LinkLost]:
        """Return the answers of one server that has to be linked before."""
        try:
            node = await self._nodes.node(where.address, lane)
            sent = None if self._is_replaced(where, lane) else self._send(node, where, calls, lane)
        except LinkLost as lost:
            await self._nodes.refresh(doubted=where.address)
            return [lost] * len(calls)
        if sent is None:
            return [LinkLost("the server was replaced while it was linked", sent=False)] * len(calls)
        return await self._answers(where, node, sent)

    def _is_replaced(self, where: _Where, lane: Lane) -> bool:
        """Tell whether another has the place of a server that was just linked: it may know of nothing since."""
        return lane is Lane.READ and not where.asking and where.address not in self._nodes.masters()

    def _send(self, node: Node, where: _Where, calls: Sequence[Call], lane: Lane) -> _Sent:
        """Send *calls* at once, those of the lane of writes with the question which replicas have them."""
        commands: list[Command] = []
        for call in calls:
            if where.asking:
                commands.append(("ASKING",))
            commands.append(call.command)
        step = 2 if where.asking else 1
        if lane is Lane.READ:
            return _Sent(node.link.send(commands), len(calls), step)
        wanted = self._wanted(node)
        asks = node.asked_at + _REPLICAS_ASKED_EVERY_SECONDS < asyncio.get_running_loop().time()
        synced = self._nodes.target.synced
        if synced:
            commands.append(("WAITAOF", 1, wanted, WAIT_MILLISECONDS))
        elif wanted:
            commands.append(("WAIT", wanted, WAIT_MILLISECONDS))
        if asks:
            commands.append(("ROLE",))
        told = node.link.send(commands, seconds=ANSWER_SECONDS + WAIT_MILLISECONDS / 1000)
        return _Sent(told, len(calls), step, wanted if wanted or synced else None, asks=asks)

    async def _answers(self, where: _Where, node: Node, sent: _Sent) -> Sequence[Answer | LinkLost]:
        """Return the answers of one server; on the lane of writes once its replicas have what was written."""
        try:
            told = await sent.told
            end = sent.step * sent.calls
            answers: list[Answer | LinkLost] = told[sent.step - 1 : end : sent.step]
            if sent.asks and not node.learn(told[-1]):
                node.link.close()
            if sent.wanted is not None and not await self._have(node, told[end], sent.wanted):
                lost = LinkLost("the replicas did not confirm the write in time", sent=True)
                answers = [answer if isinstance(answer, hiredis.ReplyError) else lost for answer in answers]
        except LinkLost as lost:
            await self._nodes.refresh(doubted=where.address)
            return [lost] * sent.calls
        kinds = {kind_of(answer) for answer in answers if isinstance(answer, hiredis.ReplyError)}
        if kinds:
            await self._learn(kinds, where, node)
        return answers

    async def _learn(self, kinds: Collection[str], where: _Where, node: Node) -> None:
        """Act upon what refusals show of a server."""
        if "NOSCRIPT" in kinds:
            await self._teach(node)
        if not _MAP_CHANGED.isdisjoint(kinds):
            node.link.close()
            await self._nodes.refresh(doubted=where.address)

    def _wanted(self, node: Node) -> int:
        wait = self._nodes.target.wait
        return node.attached if wait is None else wait

    async def _have(self, node: Node, confirmed: Answer, wanted: int) -> bool:
        """Tell whether enough replicas have what was written; one that has gone meanwhile is not asked for."""
        if isinstance(confirmed, list) and confirmed[:1] == [1]:
            confirmed = confirmed[-1]  # the master's disk has it; on how many replicas' it is comes next
        if not isinstance(confirmed, int):
            return False
        if confirmed >= wanted:
            return True
        if self._nodes.target.wait is not None:
            return False
        (role,) = await node.link.send([("ROLE",)])
        return node.learn(role) and confirmed >= node.attached

    async def _teach(self, node: Node) -> None:
        try:
            await node.link.send([("SCRIPT", "LOAD", script.source) for script in scripts().values()])
        except LinkLost:
            _LOG.debug("a link was lost while scripts were loaded")


async def _all(begun: Sequence[_Begun]) -> list[Sequence[Answer | LinkLost]]:
    """Return what came to each, in order. Who is cancelled meanwhile gives up all that is still under way."""
    found: list[Sequence[Answer | LinkLost]] = []
    try:
        for each in begun:
            found.append(await each.answers)  # noqa: PERF401  how many there are counts when one is cancelled
    finally:
        for each in begun[len(found) :]:
            each.sent.cancel()
            each.answers.close()
    return found


async def _result(task: asyncio.Task[Sequence[Answer | LinkLost]]) -> Sequence[Answer | LinkLost]:
    return await task


def answer_of(outcome: Outcome) -> Answer:
    """Return the answer in *outcome*, or raise its refusal."""
    if isinstance(outcome, Unavailable):
        raise outcome
    return outcome


def values_of(outcome: Outcome) -> list[bytes | None]:
    """Return the values in the answer of a reading script."""
    return cast("list[bytes | None]", answer_of(outcome))
