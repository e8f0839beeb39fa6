"""Is there an order that explains a history? The search of Wing and Gong, with the memory that Lowe added.

An operation may be put next in the order when no other one that is still missing was completed before it was invoked.
Operations whose outcome is unknown may be put anywhere after their invocation, or nowhere.

Each subject is looked at by itself, with what ended all sessions of the project: what is found wrong with a part is
wrong with the whole, and parts are small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.histories.model import Model, State
from tests.histories.operations import (
    History,
    Operation,
    Refresh,
    Refreshed,
    SessionText,
    Subject,
    Verify,
    by_subject,
)
from tests.histories.staleness import loosened

_MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A subject's part of a history that no order explains."""

    subject: Subject
    part: History
    stuck: Operation
    """The first operation that no order can place after all that must come before it."""

    def __str__(self) -> str:
        begin = self.part[0].invoked
        lines = [_line(each, begin, mark=each is self.stuck) for each in self.part]
        return "\n".join(
            [f"{self.subject}: no order of what was acknowledged explains", *lines[-_MOST_LINES:]]
        )


def unexplained(history: History, model: Model | None = None, *, bound_ns: int = 0) -> list[Unexplained]:
    """Return every subject's part of *history* that no order of its operations explains.

    An accepted verify may have seen what was true *bound_ns* before it was asked, as far as `loosened` says.
    """
    found = []
    for subject, part in by_subject(history).items():
        loose = loosened(part, bound_ns=bound_ns)
        claims = [each for each in loose if each.answer is not None or not isinstance(each.action, Verify)]
        stuck = _stuck(claims, model or Model())
        if stuck is not None:
            found.append(Unexplained(subject, claims, stuck))
    return found


def forks(history: History) -> list[tuple[SessionText, int]]:
    """Return each session and generation of which two refresh tokens were seen: one lineage has one of each."""
    texts: dict[tuple[SessionText, int], set[str]] = {}
    for each in history:
        if isinstance(each.action, Refresh) and isinstance(each.answer, Refreshed):
            texts.setdefault((each.action.session, each.answer.generation), set()).add(each.answer.text)
    return [key for key, seen in texts.items() if len(seen) > 1]


def _stuck(part: History, model: Model) -> Operation | None:
    """Return None where an order exists, else the operation at which the order that went furthest ended."""
    must = sum(1 << n for n, each in enumerate(part) if each.answer is not None)
    seen: set[tuple[int, State]] = set()
    waiting = [(0, State())]
    furthest = 0
    while waiting:
        done, state = waiting.pop()
        if done & must == must:
            return None
        if (done, state) in seen:
            continue
        seen.add((done, state))
        if (done & must).bit_count() > (furthest & must).bit_count():
            furthest = done
        possible = _next(part, done)
        read = next((n for n in possible if _explains(model, state, part[n])), None)
        if read is not None:
            waiting.append((done | 1 << read, state))
            continue
        waiting.extend(
            (done | 1 << n, later)
            for n in reversed(possible)
            for later in model.after(state, part[n])
            if part[n].answer is not None or later != state
        )
    return min((part[n] for n in _next(part, furthest) if must >> n & 1), key=lambda each: each.completed)


def _explains(model: Model, state: State, operation: Operation) -> bool:
    """Tell whether *operation* reads what *state* says: then it is put next at once, as it changes nothing."""
    return isinstance(operation.action, Verify) and any(model.after(state, operation))


def _next(part: History, done: int) -> list[int]:
    """Return the operations that may come next, in order of invocation."""
    missing = [n for n in range(len(part)) if not done >> n & 1]
    first = min(part[n].completed for n in missing)
    return [n for n in missing if part[n].invoked < first]


def _line(operation: Operation, begin: int, *, mark: bool) -> str:
    until = f"{(operation.completed - begin) / 1e6:10.3f}"
    span = f"{(operation.invoked - begin) / 1e6:10.3f} ms to {until}"
    return f"{'>' if mark else ' '} {span} {operation.action} {operation.answer or 'unknown'}"


def describe(found: Iterable[Unexplained]) -> str:
    """Return what to print when a test fails."""
    return "\n\n".join(map(str, found))
