"""Calling: each call goes to the server that has its slot, follows it when it moves, and gets an answer or a refusal.

What a server refused was not done, so it may be asked again, there or elsewhere. What was sent on a link that was then
lost may have been done: a read is repeated once, a write never; its caller hears `Unavailable`, and nothing is claimed.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Sequence
from typing import NamedTuple, cast

import hiredis

from sessiond.domain.errors import Unavailable
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.link import ANSWER_SECONDS, Answer, Command, LinkLost
from sessiond.storage.engines.redis.nodes import Lane, Node, Nodes, kind_of
from sessiond.storage.engines.redis.scripts import scripts

_LOG = logging.getLogger("sessiond.storage.redis")

WAIT_MILLISECONDS = 1000
MIGRATION_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
_REPLICAS_ASKED_EVERY_SECONDS = 0.5
_MOST_TRIES_OF_A_LOST_LINK = 2

_MEANINGS = {
    "CLUSTERDOWN": "the Redis Cluster is down or changing its master",
    "LOADING": "the Redis server is loading its data",
    "MASTERDOWN": "the Redis server has lost its master",
    "READONLY": "the Redis server has become a replica",
    "NOREPLICAS": "the Redis server has too few replicas to write",
    "MISCONF": "the Redis server cannot save to its disk",
    "OOM": "the Redis server has no memory left",
    "BUSY": "the Redis server is busy with a script",
    "NOAUTH": "the Redis server asks for credentials",
    "NOPERM": "the Redis server forbids what is needed",
    "TRYAGAIN": "the Redis Cluster is moving this part of the data",
}
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


Outcome = Answer | Unavailable


class Caller:
    """Carries calls to the servers."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    async def call(self, calls: Sequence[Call], lane: Lane) -> list[Outcome]:
        """Return for each call its answer, or the `Unavailable` that it came to.

        On the lane of writes an answer means that as many replicas as are asked for have it.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + MIGRATION_SECONDS
        outcomes: list[Outcome] = [None] * len(calls)
        lost: collections.Counter[int] = collections.Counter()
        places = {n: self._place(call.slot) for n, call in enumerate(calls)}
        while places:
            groups: dict[_Where, list[int]] = {}
            for n, place in places.items():
                if isinstance(place, Unavailable):
                    outcomes[n] = place
                else:
                    groups.setdefault(place, []).append(n)
            places = {}
            found = await asyncio.gather(
                *(self._at(where, [calls[n] for n in members], lane) for where, members in groups.items())
            )
            pause = False
            for (where, members), answers in zip(groups.items(), found, strict=True):
                for n, answer in zip(members, answers, strict=True):
                    if not isinstance(answer, (hiredis.ReplyError, LinkLost)):
                        outcomes[n] = answer
                        continue
                    if isinstance(answer, LinkLost):
                        lost[n] += 1
                        again = lost[n] < _MOST_TRIES_OF_A_LOST_LINK and (
                            lane is Lane.READ or not answer.sent
                        )
                        next_place = self._place(calls[n].slot) if again else None
                    else:
                        next_place = self._after(answer, where, calls[n])
                        pause = pause or kind_of(answer) == "TRYAGAIN"
                    if next_place is None or loop.time() > deadline:
                        outcomes[n] = refused(answer)
                    else:
                        places[n] = next_place
            if pause:
                await asyncio.sleep(_PAUSE_SECONDS)
        return outcomes

    def _place(self, slot: int) -> _Where | Unavailable:
        try:
            return _Where(self._nodes.address_of(slot))
        except Unavailable as refusal:
            return refusal

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

    async def _at(self, where: _Where, calls: Sequence[Call], lane: Lane) -> Sequence[Answer | LinkLost]:
        """Return the answers of one server; on the lane of writes once its replicas have what was written."""
        try:
            node = await self._nodes.node(where.address, lane)
            answers = await self._send(node, where, calls, lane)
        except LinkLost as lost:
            await self._nodes.refresh(doubted=where.address)
            return [lost] * len(calls)
        kinds = {kind_of(answer) for answer in answers if isinstance(answer, hiredis.ReplyError)}
        if "NOSCRIPT" in kinds:
            await self._teach(node)
        if kinds & _MAP_CHANGED:
            node.link.close()
            await self._nodes.refresh(doubted=where.address)
        return answers

    async def _send(
        self, node: Node, where: _Where, calls: Sequence[Call], lane: Lane
    ) -> Sequence[Answer | LinkLost]:
        commands: list[Command] = []
        for call in calls:
            if where.asking:
                commands.append(("ASKING",))
            commands.append(call.command)
        step = 2 if where.asking else 1
        if lane is Lane.READ:
            return (await node.link.send(commands))[step - 1 :: step]
        wanted = self._wanted(node)
        asks = node.asked_at + _REPLICAS_ASKED_EVERY_SECONDS < asyncio.get_running_loop().time()
        if wanted:
            commands.append(("WAIT", wanted, WAIT_MILLISECONDS))
        if asks:
            commands.append(("ROLE",))
        told = await node.link.send(commands, seconds=ANSWER_SECONDS + WAIT_MILLISECONDS / 1000)
        answers = told[step - 1 : step * len(calls) : step]
        if asks and not node.learn(told[-1]):
            node.link.close()
        if wanted and not await self._have(node, told[step * len(calls)], wanted):
            lost = LinkLost("the replicas did not confirm the write in time", sent=True)
            return [answer if isinstance(answer, hiredis.ReplyError) else lost for answer in answers]
        return answers

    def _wanted(self, node: Node) -> int:
        wait = self._nodes.target.wait
        return node.attached if wait is None else wait

    async def _have(self, node: Node, confirmed: Answer, wanted: int) -> bool:
        """Tell whether enough replicas have what was written; one that has gone meanwhile is not asked for."""
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


def refused(error: hiredis.ReplyError | LinkLost) -> Unavailable:
    """Log *error* and return the refusal that callers get for it; neither holds any data."""
    if isinstance(error, LinkLost):
        words = str(error)
    else:
        kind = kind_of(error)
        words = _MEANINGS.get(kind, f"the Redis server refuses with {kind}")
    _LOG.error("the store cannot answer: %s", words)
    refusal = unavailable(words)
    refusal.__cause__ = None
    return refusal


def answer_of(outcome: Outcome) -> Answer:
    """Return the answer in *outcome*, or raise its refusal."""
    if isinstance(outcome, Unavailable):
        raise outcome
    return outcome


def values_of(outcome: Outcome) -> list[bytes | None]:
    """Return the values in the answer of a reading script."""
    return cast("list[bytes | None]", answer_of(outcome))
