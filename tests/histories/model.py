"""What one subject's sessions do when one operation follows the other: the order that a history is compared with.

It is written from `docs/tokens.md` and the other pages, not from the code: a subject has sessions, each with a
generation, alive or ended. What depends on how much time has passed is left open where the instants of a history leave
it open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, assert_never

from tests.histories.operations import (
    Create,
    Disable,
    Done,
    Enable,
    Issued,
    Operation,
    Refresh,
    Refreshed,
    Refused,
    Revoke,
    RevokeProject,
    RevokeSubject,
    SessionText,
    Verify,
)

OVERLAP_NS = 10_000_000_000
"""How long the refresh token before the last rotation is answered with the same successor, whatever was seen."""

ENDED_CODES = frozenset(
    {
        "session_revoked",
        "subject_sessions_revoked",
        "subject_disabled",
        "project_sessions_revoked",
        "refresh_token_superseded",
    }
)
"""What the holder of a session is told that was ended on purpose."""


class Life(NamedTuple):
    """One session; *rotated* is the earliest instant at which its last rotation may have happened."""

    session: SessionText
    generation: int = 0
    rotated: int = 0
    alive: bool = True


class State(NamedTuple):
    """A subject's sessions, the oldest first."""

    lives: tuple[Life, ...] = ()
    disabled: bool = False

    def all_ended(self) -> State:
        """Return the state in which none of them lives."""
        return self._replace(lives=tuple(life._replace(alive=False) for life in self.lives))

    def with_life(self, life: Life) -> State:
        """Return the state in which *life* stands for its session."""
        return self._replace(
            lives=tuple(life if life.session == each.session else each for each in self.lives)
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """How many sessions of a subject may live; one too many is refused, or ends the oldest."""

    most: int
    evicts: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """The rules of a subject; *codes* are what the holder of an ended session may be told."""

    limit: Limit | None = None
    codes: frozenset[str] = ENDED_CODES

    def after(self, state: State, operation: Operation) -> Iterator[State]:
        """Yield the states that *operation* may leave behind with the answer that it got; none where it cannot have."""
        match operation.action:
            case Create():
                yield from self._created(state, operation)
            case Verify(session, generation):
                if self._verified(_find(state, session), generation, operation):
                    yield state
            case Refresh(session, generation):
                yield from self._refreshed(state, _find(state, session), generation, operation)
            case _:
                if operation.answer in {None, Done()}:
                    yield _changed(state, operation.action)

    def _created(self, state: State, operation: Operation) -> Iterator[State]:
        living = [life for life in state.lives if life.alive]
        full = self.limit is not None and len(living) >= self.limit.most
        evicts = self.limit is not None and self.limit.evicts
        match operation.answer:
            case Refused("subject_disabled"):
                if state.disabled:
                    yield state
            case Refused("session_limit_reached"):
                if full and not evicts and not state.disabled:
                    yield state
            case Issued() | None:
                if state.disabled or (full and not evicts):
                    return
                if full:
                    state = state.with_life(living[0]._replace(alive=False))
                known = operation.answer
                session = f"of {operation.invoked}" if known is None else known.session
                yield state._replace(lives=(*state.lives, Life(session, rotated=operation.invoked)))
            case _:
                return

    def _verified(self, life: Life | None, generation: int, operation: Operation) -> bool:
        if life is None:
            return False
        behind = life.generation - generation
        match operation.answer:
            case Done():
                return life.alive and behind in {0, 1}
            case Refused("token_superseded"):
                return life.alive and behind > 1
            case Refused(code):
                return not life.alive and behind >= 0 and code in self.codes
            case _:
                return False

    def _refreshed(
        self, state: State, life: Life | None, generation: int, operation: Operation
    ) -> Iterator[State]:
        if life is None or generation > life.generation:
            return
        told, behind = operation.answer, life.generation - generation
        if not life.alive:
            if isinstance(told, Refused) and told.code in self.codes:
                yield state
            return
        if behind == 0 and (
            told is None or (isinstance(told, Refreshed) and told.generation == generation + 1)
        ):
            yield state.with_life(life._replace(generation=generation + 1, rotated=operation.invoked))
        if behind == 1 and isinstance(told, Refreshed) and told.generation == life.generation:
            yield state
        late = behind == 1 and operation.completed - life.rotated > OVERLAP_NS
        if (behind > 1 or late) and told in {None, Refused("refresh_token_superseded")}:
            yield state.with_life(life._replace(alive=False))


def _changed(state: State, action: Revoke | RevokeSubject | RevokeProject | Disable | Enable) -> State:
    match action:
        case Revoke(session):
            life = _find(state, session)
            return state if life is None else state.with_life(life._replace(alive=False))
        case RevokeSubject() | RevokeProject():
            return state.all_ended()
        case Disable():
            return state.all_ended()._replace(disabled=True)
        case Enable():
            return state._replace(disabled=False)
        case _:
            assert_never(action)


def _find(state: State, session: SessionText) -> Life | None:
    return next((life for life in state.lives if life.session == session), None)
