"""One connection to one server: commands go out together, answers come back in order.

The parser and the packer are hiredis'. A link is broken as soon as anything on it is unclear, and never mended.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import hiredis

from sessiond.storage.engines.redis.address import Address, Target

Command = tuple[bytes | str | int, ...] | bytes
"""The words of a command, or all of it as it goes over the wire."""
Answer = object
"""What a server answers: bytes, an integer, a list of answers, None, or a `hiredis.ReplyError` that it refused with."""

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0


_packed = cast("Callable[[tuple[bytes | str | int, ...]], bytes]", hiredis.pack_command)


class LinkLost(Exception):
    """There is no answer. *sent* tells whether the commands may have reached the server."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


Take = Callable[[list[Answer] | LinkLost], None]
"""Takes the answers to what was sent, in order; it must not raise."""


class _Pending:
    """Commands that were sent together, who *take*s their answers, and those that came so far."""

    __slots__ = ("answers", "count", "deadline", "take")

    def __init__(self, take: Take, count: int, deadline: float) -> None:
        self.take = take
        self.count = count
        self.deadline = deadline
        self.answers: list[Answer] = []


class Link(asyncio.Protocol):
    """A connection that is open, or lost for good."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._pending: collections.deque[_Pending] = collections.deque()
        self._transport: asyncio.WriteTransport | None = None
        self._lost: str | None = "it is not connected yet"
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0

    @property
    def is_lost(self) -> bool:
        """Tell whether nothing can be sent any more."""
        return self._lost is not None

    def send(
        self, commands: Sequence[Command], *, seconds: float = ANSWER_SECONDS
    ) -> asyncio.Future[list[Answer]]:
        """Send *commands* as `put` does; the future holds their answers in order, or `LinkLost`."""
        waiter: asyncio.Future[list[Answer]] = self._loop.create_future()

        def take(told: list[Answer] | LinkLost) -> None:
            if waiter.done():
                return
            if isinstance(told, LinkLost):
                waiter.set_exception(told)
            else:
                waiter.set_result(told)

        self.put(commands, take, seconds=seconds)
        return waiter

    def put(self, commands: Sequence[Command], take: Take, *, seconds: float) -> None:
        """Send *commands* at once; *take* gets their answers once all are there (of none at once), or `LinkLost`.

        A server that has not answered all of them after *seconds* is not waited for: the link is lost. Raises
        `LinkLost` where it is lost already.
        """
        if self._lost is not None or self._transport is None:
            raise LinkLost(self._lost or "it is not connected", sent=False)
        if not commands:
            take([])
            return
        deadline = self._loop.time() + seconds
        # One alarm for all that is under way, set anew when it rings: a timer for each would cost more than the rest.
        if self._alarm is None or deadline < self._alarm_at:
            self._set_alarm(deadline)
        self._transport.write(
            b"".join([each if isinstance(each, bytes) else _packed(each) for each in commands])
        )
        self._pending.append(_Pending(take, len(commands), deadline))

    def close(self) -> None:
        """Let go of the connection; whoever still waits is told that it is lost."""
        self._lose("the connection was closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._lost = None

    def data_received(self, data: bytes) -> None:
        """Hand answers to whoever waits for them."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._settle(answer)
        except hiredis.ProtocolError:
            self._lose("the server does not speak Redis' protocol")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  the waiting need no more than that
        """Tell everyone who waits."""
        self._lose("the connection was lost")

    def _settle(self, answer: Answer) -> None:
        if not self._pending:
            self._lose("the server answered what was not asked")
            return
        pending = self._pending[0]
        pending.answers.append(answer)
        if len(pending.answers) == pending.count:
            self._pending.popleft()
            pending.take(pending.answers)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        """Lose the link where an answer is overdue, else ring again when the first would be."""
        self._alarm = None
        if not self._pending:
            return
        deadline = min(pending.deadline for pending in self._pending)
        if deadline <= self._loop.time():
            self._lose("the server does not answer in time")
        else:
            self._set_alarm(deadline)

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = why
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._transport is not None:
            self._transport.abort()
        while self._pending:
            self._pending.popleft().take(LinkLost(why, sent=True))


class Subscription(Link):
    """A link on which messages arrive that nobody asks for; each is handed to *take*."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__()
        self._take = take
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done once the link is lost, with the reason."""

    def _settle(self, answer: Answer) -> None:
        if isinstance(answer, list) and answer[0] == b"message":
            self._take(answer[2])
        else:
            super()._settle(answer)

    def _lose(self, why: str) -> None:
        super()._lose(why)
        if not self.lost.done():
            self.lost.set_result(why)


AnyLink = TypeVar("AnyLink", bound=Link)


async def connect(
    address: Address, target: Target, context: ssl.SSLContext | None, make: Callable[[], AnyLink]
) -> AnyLink:
    """Return a link to the server at *address*, signed in. Raises `LinkLost`."""
    loop = asyncio.get_running_loop()
    link: AnyLink | None = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, link = await loop.create_connection(make, address.host, address.port, ssl=context)
    except ssl.SSLError as error:
        raise LinkLost(f"no TLS with the server at {address}: {_tls_fault(error)}", sent=False) from error
    except (OSError, TimeoutError) as error:
        raise LinkLost(f"the server at {address} cannot be reached", sent=False) from error
    greetings: list[Command] = []
    if target.password is not None:
        user = () if target.user is None else (target.user,)
        greetings.append(("AUTH", *user, target.password))
    if target.number:
        greetings.append(("SELECT", target.number))
    greetings.append(("CLIENT", "SETNAME", "sessiond"))
    try:
        answers = await link.send(greetings)
    except LinkLost as lost:
        raise LinkLost(str(lost), sent=False) from None
    for answer in answers[:-1]:
        if isinstance(answer, hiredis.ReplyError):
            with contextlib.suppress(LinkLost):
                link.close()
            raise LinkLost("the server refuses the credentials or the database number of the URL", sent=False)
    return link


def _tls_fault(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    return (error.reason or "it does not speak TLS").lower().replace("_", " ")
