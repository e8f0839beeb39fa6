"""What `cache.max_staleness` allows, in a history: a verify may be accepted for what was true a while ago."""

from __future__ import annotations

from dataclasses import replace

from tests.histories.operations import Create, Done, History, Operation, Verify


def loosened(part: History, *, bound_ns: int) -> History:
    """Return a subject's part of a history with each accepted verify begun so much earlier.

    But not before what the same node had by then acknowledged to have done to the session: that it has seen.
    """
    writes = [
        each for each in part if not isinstance(each.action, Verify | Create) and each.answer is not None
    ]
    return [_begun_earlier(each, writes, bound_ns) for each in part]


def _begun_earlier(operation: Operation, writes: History, bound_ns: int) -> Operation:
    match operation.action, operation.answer:
        case Verify(session, _), Done():
            seen = [
                int(each.completed)
                for each in writes
                if each.node == operation.node
                and each.completed <= operation.invoked
                and getattr(each.action, "session", session) == session
            ]
            return replace(operation, invoked=max([operation.invoked - bound_ns, *seen]))
        case _:
            return operation
