"""What clients asked and were told: a history, after Jepsen's method.

Each operation has the instants (of one monotonic clock, in nanoseconds) between which it took effect if it did. What
was answered 503, or not at all, is *unknown*: it may have happened, then or at any later instant, or never.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Subject = str
SessionText = str


@dataclass(frozen=True, slots=True)
class Create:
    """Open a session of *subject*."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class Verify:
    """Present an access token of this generation."""

    session: SessionText
    generation: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """Present the refresh token of this generation."""

    session: SessionText
    generation: int


@dataclass(frozen=True, slots=True)
class Revoke:
    """End one session."""

    session: SessionText


@dataclass(frozen=True, slots=True)
class RevokeSubject:
    """End all sessions of *subject*."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class RevokeProject:
    """End all sessions of the project."""


@dataclass(frozen=True, slots=True)
class Disable:
    """Disable *subject*."""

    subject: Subject


@dataclass(frozen=True, slots=True)
class Enable:
    """Enable *subject* again."""

    subject: Subject


Action = Create | Verify | Refresh | Revoke | RevokeSubject | RevokeProject | Disable | Enable


@dataclass(frozen=True, slots=True)
class Done:
    """It was carried out; a verify: the session lives."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A create was answered with this session."""

    session: SessionText


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A refresh was answered with the tokens of this generation; *text* is the refresh token."""

    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It was refused for this reason."""

    code: str


Answer = Done | Issued | Refreshed | Refused


@dataclass(frozen=True, slots=True)
class Operation:
    """One request; *answer* None and *completed* infinite where it is not known what became of it.

    *node* is the one that was asked, None for a command.
    """

    invoked: int
    completed: float
    action: Action
    answer: Answer | None
    node: int | None = None

    @classmethod
    def unknown(cls, invoked: int, action: Action) -> Operation:
        """Return an operation that may happen at any time from *invoked* on."""
        return cls(invoked, math.inf, action, None)


History = list[Operation]


def by_subject(history: History) -> dict[Subject, History]:
    """Return each subject's part of *history*, with what ended all sessions of the project, in order of invocation.

    A session belongs to the subject that its create named. One that no answered create has told of is an error.
    """
    owners: dict[SessionText, Subject] = {}
    parts: dict[Subject, History] = {}
    for each in history:
        if isinstance(each.action, Create):
            parts.setdefault(each.action.subject, [])
            if isinstance(each.answer, Issued):
                owners[each.answer.session] = each.action.subject
    for each in sorted(history, key=lambda operation: operation.invoked):
        match each.action:
            case RevokeProject():
                for part in parts.values():
                    part.append(each)
            case Verify(session, _) | Refresh(session, _) | Revoke(session):
                parts[owners[session]].append(each)
            case Create(subject) | RevokeSubject(subject) | Disable(subject) | Enable(subject):
                parts.setdefault(subject, []).append(each)
    return parts
