"""Asking: questions of any kind, each in the next batch of the server that has its answer.

A question that has not been sent yet may still grow: several who need the same kind of thing ask together, in a
`Round`. So a server is asked once for what all of them need, and everybody by what came before it was asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import ClassVar, Protocol

from sessiond.domain.records import Key
from sessiond.storage.batch_counts import BatchCounts
from sessiond.storage.batching import Outcome
from sessiond.storage.engine import unavailable
from sessiond.storage.engines.redis.address import Address
from sessiond.storage.engines.redis.batches import Batches, Done
from sessiond.storage.engines.redis.calls import Caller, answer_of, while_moving
from sessiond.storage.engines.redis.commands import Call
from sessiond.storage.engines.redis.link import Answer
from sessiond.storage.engines.redis.nodes import Lane, Nodes

_LOG = logging.getLogger("sessiond.storage.redis")


class Question(Protocol):
    """What one server is asked for. *joined* is how many more than one ask it."""

    joined: int

    @property
    def keys(self) -> Sequence[Key]:
        """Nothing is written."""
        ...

    def calls(self) -> Sequence[Call]:
        """Return what is asked: it is about to be sent, and grows no more. Should this raise, `fail` is called."""
        ...

    def outcome(self, outcomes: Sequence[Outcome]) -> Outcome:
        """Take the outcomes of the calls, and return what the question came to.

        None where those who asked were told by itself; only what is one caller's alone may raise.
        """
        ...

    def fail(self, error: Exception) -> Outcome:
        """Take that nothing could be asked, and return what the question came to, as `outcome` does."""
        ...


class _Single:
    """One call; its outcome is its answer."""

    keys: ClassVar[Sequence[Key]] = ()

    __slots__ = ("_call", "joined")

    def __init__(self, call: Call) -> None:
        self.joined = 0
        self._call = call

    def calls(self) -> Sequence[Call]:
        return (self._call,)

    def outcome(self, outcomes: Sequence[Outcome]) -> Outcome:
        return outcomes[0]

    def fail(self, error: Exception) -> Outcome:
        return error


class Asking:
    """Carries questions to the servers, one batch at a time to each."""

    def __init__(self, nodes: Nodes, caller: Caller, counts: BatchCounts) -> None:
        self._caller = caller
        self._counts = counts
        self._joined = 0
        counts.waiting.append(lambda: self._joined)
        self._batches: Batches[Question] = Batches(nodes, self._run, counts)

    async def close(self) -> None:
        """Accept nothing more and wait until all that was accepted is settled."""
        await self._batches.close()

    def submit(self, call: Call) -> asyncio.Future[object]:
        """Ask in the next batch: the future holds the answer, `Moving` while what is asked for is being moved."""
        return self._batches.submit(call.slot, _Single(call))

    def put(self, slot: int, question: Question) -> None:
        """Put *question* in the next batch of the server that has *slot*. Raises `Unavailable`."""
        self._batches.submit(slot, question)

    def join(self, question: Question) -> None:
        """Count one more who asks a *question* that was put and is not sent yet."""
        question.joined += 1
        self._joined += 1
        self._counts.operations += 1

    async def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Return the answer to each of *calls*, or raise the refusal of one; several are a batch by themselves."""
        if len(calls) == 1:
            return [await while_moving(self.submit, calls[0])]
        return [answer_of(outcome) for outcome in await self._caller.call(calls, Lane.READ)]

    def _run(self, address: Address, questions: Sequence[Question], done: Done) -> None:
        calls: list[Call] = []
        ends: list[int | Exception] = []
        for question in questions:
            self._joined -= question.joined
            try:
                calls += question.calls()
                ends.append(len(calls))
            except Exception as error:  # noqa: BLE001  whatever it is, who asked must hear of it
                ends.append(error)

        def take(outcomes: Sequence[Outcome]) -> None:
            found: list[Outcome] = []
            start = 0
            for question, end in zip(questions, ends, strict=True):
                if isinstance(end, Exception):
                    found.append(question.fail(end))
                    continue
                try:
                    found.append(question.outcome(outcomes[start:end]))
                except Exception as error:  # noqa: BLE001  whatever it is, who asked must hear of it
                    found.append(error)
                start = end
            done(found)

        try:
            self._caller.start(address, calls, Lane.READ, take)
        except Exception:  # noqa: BLE001  nobody may be left waiting
            _LOG.exception("what was asked could not be sent")
            take([unavailable("what was asked could not be sent")] * len(calls))


def settle(waiter: asyncio.Future[object], outcome: Outcome) -> None:
    """Tell *waiter*, who may have gone, what it came to."""
    if waiter.done():
        return
    if isinstance(outcome, BaseException):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
