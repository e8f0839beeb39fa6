"""The servers: which of them has a slot, a connection to each for reading and one for writing.

A cluster's map is asked for at the start, and again whenever an answer or a lost connection shows that it has changed.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
from collections.abc import Callable, Sequence
from typing import cast

import hiredis

from sessiond.domain.errors import Misconfigured
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address, Target
from sessiond.storage.engines.redis.layout import SLOTS
from sessiond.storage.engines.redis.link import Answer, Command, Link, LinkLost, Subscription, connect
from sessiond.storage.engines.redis.requirements import fault_of, info_from
from sessiond.storage.engines.redis.scripts import scripts

_LOG = logging.getLogger("sessiond.storage.redis")
_MAP_SECONDS = 1.0
_HANGS_SECONDS = 1.0
LEFT_ALONE_SECONDS = 0.25
"""For how long a server that hung when it was to be linked is not tried again: whoever waited behind it is told."""

_ROLE = 0
_ATTACHED = 2


class Lane(enum.Enum):
    """What a connection is for: a write that waits for replicas must not hold up reads."""

    READ = enum.auto()
    WRITE = enum.auto()

    __hash__ = object.__hash__  # as each is itself alone; an enum's own is made in Python, at every send


class Node:
    """A server that is linked, and how many replicas were *attached* when it was last asked.

    *syncs* tells whether it syncs its file at every write.
    """

    def __init__(self, link: Link, *, syncs: bool) -> None:
        self.link = link
        self.syncs = syncs
        self.attached = 0
        self.asked_at = float("-inf")

    def learn(self, role: Answer) -> bool:
        """Take an answer to ROLE; tell whether the server is a master."""
        if not isinstance(role, list) or role[_ROLE] != b"master":
            return False
        self.attached = len(role[_ATTACHED])
        self.asked_at = asyncio.get_running_loop().time()
        return True


class Nodes:
    """Every server of a target, linked when it is first needed."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._context = target.tls_context()
        self._slots: list[Address | None] = [target.seeds[0]] * SLOTS
        self._linked: dict[tuple[Address, Lane], Node] = {}
        self._linking: dict[tuple[Address, Lane], asyncio.Task[Node]] = {}
        self._hung: dict[Address, tuple[float, str]] = {}
        self._mapping: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Find the map and look at every master. Raises `Misconfigured`."""
        try:
            if self.target.cluster:
                await self._ask_for_map(self.target.seeds)
            for address in self.masters():
                await self.node(address, Lane.WRITE)
        except LinkLost as lost:
            raise Misconfigured(f"the database cannot be opened: {lost}") from lost

    def masters(self) -> list[Address]:
        """Return the servers that have slots."""
        return list(dict.fromkeys(address for address in self._slots if address is not None))

    def address_of(self, slot: int) -> Address:
        """Return the server that has *slot*, or raise `Unavailable`."""
        address = self._slots[slot]
        if address is None:
            raise unavailable("no server of the cluster has this part of the data")
        return address

    def has(self, address: Address, slot: int) -> bool:
        """Tell whether the server at *address* has *slot*."""
        return self._slots[slot] == address

    def moved(self, slot: int, address: Address) -> None:
        """Take note that *slot* lies at *address* now."""
        self._slots[slot] = address

    def durability(self) -> str:
        """Return in words what a write that is acknowledged now rests on."""
        writing = [
            node for (_, lane), node in self._linked.items() if lane is Lane.WRITE and not node.link.is_lost
        ]
        fewest = min((node.attached for node in writing), default=0)
        replicas = self.target.wait if self.target.wait is not None else fewest
        if self.target.synced:
            return f"synced to the disks of its master and of replicas: {replicas}"
        synced = "at every write" if writing and all(node.syncs for node in writing) else "not at every write"
        return f"replicas that have confirmed it: {replicas}; synced to its master's disk: {synced}"

    def linked(self, address: Address, lane: Lane) -> Node | None:
        """Return the server at *address* if it is linked."""
        node = self._linked.get((address, lane))
        return None if node is None or node.link.is_lost else node

    async def node(self, address: Address, lane: Lane) -> Node:
        """Return the server at *address*, linked. Raises `LinkLost`."""
        node = self.linked(address, lane)
        if node is not None:
            return node
        if self._closed:
            raise LinkLost("it was closed", sent=False)
        linking = self._linking.get((address, lane))
        if linking is None:
            until, why = self._hung.get(address, (0.0, ""))
            if asyncio.get_running_loop().time() < until:
                raise LinkLost(why, sent=False)
            linking = asyncio.create_task(self._link(address, lane))
            self._linking[address, lane] = linking
            linking.add_done_callback(lambda _: self._linking.pop((address, lane), None))
        return await asyncio.shield(linking)

    async def refresh(self, *, doubted: Address | None = None) -> None:
        """Ask for the map anew, *doubted* last; where nobody answers, the old one stays."""
        if not self.target.cluster or self._closed:
            return
        if self._mapping is None or self._mapping.done():
            known = dict.fromkeys((*self.masters(), *self.target.seeds))
            order = sorted(known, key=lambda address: address == doubted)
            self._mapping = asyncio.create_task(self._refresh(order))
        await asyncio.shield(self._mapping)

    async def subscribe(self, slot: int, channel: bytes, take: Callable[[bytes], None]) -> Subscription:
        """Return a link of its own to the server that has *slot*, on which what *channel* tells goes to *take*.

        Raises `LinkLost` or `Unavailable`.
        """
        address = self.address_of(slot)
        try:
            link = await connect(address, self.target, self._context, functools.partial(Subscription, take))
        except LinkLost:
            # For the next attempt: another server may have the slot by now.
            await self.refresh(doubted=address)
            raise
        try:
            (answer,) = await link.send([("SUBSCRIBE", channel)])
        except BaseException:
            link.close()
            raise
        if isinstance(answer, hiredis.ReplyError):
            link.close()
            raise LinkLost(f"the server at {address} allows no subscription: {kind_of(answer)}", sent=False)
        return link

    async def close(self) -> None:
        """Let go of every connection."""
        self._closed = True
        tasks = [*self._linking.values(), *([self._mapping] if self._mapping is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node in self._linked.values():
            node.link.close()

    async def _link(self, address: Address, lane: Lane) -> Node:
        time = asyncio.get_running_loop().time
        began = time()
        try:
            return await self._linked_anew(address, lane)
        except LinkLost as lost:
            if time() - began >= _HANGS_SECONDS:
                self._hung[address] = time() + LEFT_ALONE_SECONDS, str(lost)
            raise

    async def _linked_anew(self, address: Address, lane: Lane) -> Node:
        link = await connect(address, self.target, self._context, Link)
        try:
            node = await self._greet(address, link)
        except BaseException:
            link.close()
            raise
        self._linked[address, lane] = node
        return node

    async def _greet(self, address: Address, link: Link) -> Node:
        """Look at a server that was just reached, and teach it the scripts."""
        loads: list[Command] = [("SCRIPT", "LOAD", script.source) for script in scripts().values()]
        questions: list[Command] = [("INFO",), ("ROLE",), ("CONFIG", "GET", "appendfsync")]
        try:
            told, role, policy, *loaded = await link.send([*questions, *loads])
        except LinkLost as lost:
            raise LinkLost(str(lost), sent=False) from lost
        if isinstance(told, hiredis.ReplyError):
            raise LinkLost(f"the server at {address} refuses: {kind_of(told)}", sent=False)
        info = info_from(cast("bytes", told))
        fault = fault_of(info, self.target, address)
        if fault is not None:
            raise LinkLost(fault, sent=False)
        for answer in loaded:
            if isinstance(answer, hiredis.ReplyError):
                raise LinkLost(f"the server at {address} takes no scripts: {kind_of(answer)}", sent=False)
        syncs = info.get("aof_enabled") == "1" and isinstance(policy, list) and policy[1:] == [b"always"]
        node = Node(link, syncs=syncs)
        node.learn(role)
        return node

    async def _refresh(self, order: Sequence[Address]) -> None:
        try:
            await self._ask_for_map(order)
        except LinkLost as lost:
            _LOG.warning("no server of the cluster tells where the slots are: %s", lost)

    async def _ask_for_map(self, order: Sequence[Address]) -> None:
        failure = LinkLost("no server is known", sent=False)
        for address in order:
            try:
                node = await self.node(address, Lane.READ)
                (answer,) = await node.link.send([("CLUSTER", "SLOTS")], seconds=_MAP_SECONDS)
            except LinkLost as lost:
                failure = lost
                continue
            if isinstance(answer, list) and answer:
                self._slots = _slots_from(answer, address)
                self._let_go_of_the_replaced()
                return
            failure = LinkLost(f"the cluster of {address} has no slots yet", sent=False)
        raise failure

    def _let_go_of_the_replaced(self) -> None:
        """Wait for no read any more of a server without slots: who was replaced, and goes on, knows only of before."""
        masters = set(self.masters())
        for (address, lane), node in self._linked.items():
            if lane is Lane.READ and address not in masters:
                node.link.close()


def _slots_from(answer: list[Answer], asked: Address) -> list[Address | None]:
    """Return who has each slot; a server that does not know its own name is the one that was asked."""
    slots: list[Address | None] = [None] * SLOTS
    for row in cast("list[list[Answer]]", answer):
        first, last, master = cast("int", row[0]), cast("int", row[1]), cast("list[Answer]", row[2])
        host = cast("bytes | None", master[0]) or b""
        address = Address(host.decode() or asked.host, cast("int", master[1]))
        slots[first : last + 1] = [address] * (last + 1 - first)
    return slots


def kind_of(error: hiredis.ReplyError) -> str:
    """Return the first word of a server's refusal: what comes after it may repeat data."""
    return str(error).split(" ", 1)[0]
