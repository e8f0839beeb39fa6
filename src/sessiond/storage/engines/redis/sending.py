"""Sending: calls to one server go out together, and who sent them takes the answer to each.

Where that server is linked and all answers are as they should be, nothing waits in between: no task, no future. What
is unclear (a refusal, a lost link, replicas that do not confirm) is looked into by a task.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import NamedTuple

import hiredis

from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.link import ANSWER_SECONDS, Answer, Command, LinkLost
from sessiond.storage.engines.redis.nodes import Lane, Node, Nodes, kind_of
from sessiond.storage.engines.redis.scripts import scripts

_LOG = logging.getLogger("sessiond.storage.redis")

WAIT_MILLISECONDS = 1000
_REPLICAS_ASKED_EVERY_SECONDS = 0.5

_MAP_CHANGED = frozenset({"CLUSTERDOWN", "MASTERDOWN", "READONLY"})


class Where(NamedTuple):
    """A server; *asking* before each call where the slot is only on its way to it."""

    address: Address
    asking: bool = False


Answered = Sequence[Answer | LinkLost]
"""An answer to each call: what the server said, its refusal, or that it was lost."""

TakeAnswers = Callable[[Answered], None]
"""Takes an answer to each call, once; it must not raise."""


class _Sent(NamedTuple):
    """What went to one server: the answer to each of so many *calls* is the last of *step*.

    Behind these comes how many replicas have what was written, of the *wanted* ones, unless that is None; at last its
    role, if it *asks* for that. Answers that are all as they should be go to *clear*, others to *take*.
    """

    node: Node
    where: Where
    calls: int
    take: TakeAnswers
    clear: TakeAnswers
    step: int = 1
    wanted: int | None = None
    asks: bool = False


class Sending:
    """Sends to any server."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._tasks: set[asyncio.Task[None]] = set()

    def send(
        self,
        where: Where,
        calls: Sequence[Call],
        lane: Lane,
        take: TakeAnswers,
        clear: TakeAnswers | None = None,
    ) -> None:
        """Send *calls* at once, or as soon as their server is linked.

        Answers without a refusal or a loss among them may go to *clear*.

        On the lane of writes an answer means that as many replicas as are asked for have what was written.
        """
        node = self._nodes.linked(where.address, lane)
        if node is None:
            self.see_to(self._link_and_send(where, calls, lane, take), take, len(calls))
        else:
            self._put(node, where, calls, lane, (take, clear or take))

    def see_to(self, work: Coroutine[None, None, None], take: TakeAnswers, calls: int) -> None:
        """Do *work*, which hands answers to *take*, as a task; should it fail, all *calls* are lost."""
        task = asyncio.create_task(self._guarded(work, take, calls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None], take: TakeAnswers, calls: int) -> None:
        try:
            await work
        except BaseException as error:
            take([LinkLost("the answer could not be taken", sent=True)] * calls)
            if not isinstance(error, Exception):
                raise
            _LOG.exception("what a server answered could not be looked into")

    async def _link_and_send(
        self, where: Where, calls: Sequence[Call], lane: Lane, take: TakeAnswers
    ) -> None:
        try:
            node = await self._nodes.node(where.address, lane)
            if not self._is_replaced(where, lane):
                self._put(node, where, calls, lane, (take, take))
                return
            lost = LinkLost("the server was replaced while it was linked", sent=False)
        except LinkLost as loss:
            await self._nodes.refresh(doubted=where.address)
            lost = loss
        take([lost] * len(calls))

    def _is_replaced(self, where: Where, lane: Lane) -> bool:
        """Tell whether another has the place of a server that was just linked: it may know of nothing since."""
        return lane is Lane.READ and not where.asking and where.address not in self._nodes.masters()

    def _put(
        self,
        node: Node,
        where: Where,
        calls: Sequence[Call],
        lane: Lane,
        takers: tuple[TakeAnswers, TakeAnswers],
    ) -> None:
        """Send to a server that is linked; what is written with the question which replicas have it."""
        commands = [call.command for call in calls] if not where.asking else _asking(calls)
        step = 2 if where.asking else 1
        if lane is Lane.READ:
            sent = _Sent(node, where, len(calls), *takers, step)
            node.link.put(commands, functools.partial(self._told, sent), seconds=ANSWER_SECONDS)
            return
        wanted, synced = self._wanted(node), self._nodes.target.synced
        if synced:
            commands.append(("WAITAOF", 1, wanted, WAIT_MILLISECONDS))
        elif wanted:
            commands.append(("WAIT", wanted, WAIT_MILLISECONDS))
        asks = node.asked_at + _REPLICAS_ASKED_EVERY_SECONDS < asyncio.get_running_loop().time()
        if asks:
            commands.append(("ROLE",))
        sent = _Sent(node, where, len(calls), *takers, step, wanted if wanted or synced else None, asks)
        seconds = ANSWER_SECONDS + WAIT_MILLISECONDS / 1000
        node.link.put(commands, functools.partial(self._told, sent), seconds=seconds)

    def _told(self, sent: _Sent, told: list[Answer] | LinkLost) -> None:
        answers = _clear(sent, told)
        if answers is None:
            self.see_to(self._look_into(sent, told), sent.take, sent.calls)
        else:
            sent.clear(answers)

    async def _look_into(self, sent: _Sent, told: list[Answer] | LinkLost) -> None:
        """Hand over what came to each call, once what that shows of the server is known."""
        if isinstance(told, LinkLost):
            answers: Answered = [told] * sent.calls
            await self._nodes.refresh(doubted=sent.where.address)
        else:
            try:
                answers = await self._confirmed(sent, told)
            except LinkLost as lost:
                answers = [lost] * sent.calls
                await self._nodes.refresh(doubted=sent.where.address)
        kinds = {kind_of(answer) for answer in answers if isinstance(answer, hiredis.ReplyError)}
        if kinds:
            await self._learn(kinds, sent)
        sent.take(answers)

    async def _confirmed(self, sent: _Sent, told: list[Answer]) -> Answered:
        """Return the answers; those to writes are lost unless replicas have what was written."""
        answers = _answers(sent, told)
        if sent.asks and not sent.node.learn(told[-1]):
            sent.node.link.close()
        if sent.wanted is None or await self._have(sent.node, told[sent.step * sent.calls], sent.wanted):
            return answers
        lost = LinkLost("the replicas did not confirm the write in time", sent=True)
        return [answer if isinstance(answer, hiredis.ReplyError) else lost for answer in answers]

    async def _have(self, node: Node, confirmed: Answer, wanted: int) -> bool:
        """Tell whether enough replicas have what was written; one that has gone meanwhile is not asked for."""
        count = _count(confirmed)
        if count is None or count >= wanted:
            return count is not None
        if self._nodes.target.wait is not None:
            return False
        (role,) = await node.link.send([("ROLE",)])
        return node.learn(role) and count >= node.attached

    async def _learn(self, kinds: Collection[str], sent: _Sent) -> None:
        """Act upon what refusals show of a server."""
        if "NOSCRIPT" in kinds:
            await self._teach(sent.node)
        if not _MAP_CHANGED.isdisjoint(kinds):
            sent.node.link.close()
            await self._nodes.refresh(doubted=sent.where.address)

    def _wanted(self, node: Node) -> int:
        wait = self._nodes.target.wait
        return node.attached if wait is None else wait

    async def _teach(self, node: Node) -> None:
        try:
            await node.link.send([("SCRIPT", "LOAD", script.source) for script in scripts().values()])
        except LinkLost:
            _LOG.debug("a link was lost while scripts were loaded")


def _asking(calls: Sequence[Call]) -> list[Command]:
    """Return what is sent for *calls* to who has their slots only on the way: each has two answers."""
    asking: Command = ("ASKING",)
    return [command for call in calls for command in (asking, call.command)]


def _answers(sent: _Sent, told: list[Answer]) -> Sequence[Answer]:
    if sent.calls == len(told):
        return told
    return told[sent.step - 1 : sent.step * sent.calls : sent.step]


def _clear(sent: _Sent, told: list[Answer] | LinkLost) -> Sequence[Answer] | None:
    """Return the answer to each call where nothing needs to be looked into: None is refused, replicas have it."""
    if isinstance(told, LinkLost):
        return None
    answers = _answers(sent, told)
    for answer in answers:
        if isinstance(answer, hiredis.ReplyError):
            return None
    if sent.wanted is not None:
        confirmed = _count(told[sent.step * sent.calls])
        if confirmed is None or confirmed < sent.wanted:
            return None
    if sent.asks and not sent.node.learn(told[-1]):
        return None
    return answers


def _count(confirmed: Answer) -> int | None:
    """Return how many replicas have what was written, None where not even the master's disk has what it should."""
    if isinstance(confirmed, list) and confirmed[:1] == [1]:
        confirmed = confirmed[-1]  # the master's disk has it; on how many replicas' it is comes next
    return confirmed if isinstance(confirmed, int) else None
