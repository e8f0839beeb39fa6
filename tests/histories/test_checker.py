"""The checker itself: good histories pass, and each way to break the promise is found."""

from __future__ import annotations

import math

import pytest

from tests.histories.checker import describe, forks, unexplained
from tests.histories.model import OVERLAP_NS, Limit, Model
from tests.histories.operations import (
    Action,
    Answer,
    Create,
    Disable,
    Done,
    Enable,
    History,
    Issued,
    Operation,
    Refresh,
    Refreshed,
    Refused,
    Revoke,
    RevokeProject,
    RevokeSubject,
    Verify,
)

DONE, REVOKED = Done(), Refused("session_revoked")
REUSED, SUPERSEDED = Refused("refresh_token_superseded"), Refused("token_superseded")
BORN = (0, 1, Create("alice"), Issued("s"))
Line = tuple[int, float, Action, Answer | None]


def at(*lines: Line) -> History:
    return [Operation(*line) for line in lines]


def rotated(generation: int) -> Refreshed:
    return Refreshed(generation, f"text {generation}")


GOOD: dict[str, list[Line]] = {
    "a session lives until it is revoked": [
        BORN,
        (2, 3, Verify("s", 0), DONE),
        (4, 5, Revoke("s"), DONE),
        (6, 7, Verify("s", 0), REVOKED),
        (8, 9, Refresh("s", 0), REVOKED),
    ],
    "beside a revoke both answers are right, in the order of the revoke": [
        BORN,
        (2, 9, Revoke("s"), DONE),
        (3, 8, Verify("s", 0), REVOKED),
        (3, 7, Verify("s", 0), DONE),
    ],
    "a revoke that was not acknowledged may have happened": [
        BORN,
        (2, math.inf, Revoke("s"), None),
        (8, 9, Verify("s", 0), REVOKED),
    ],
    "or not, or later": [
        BORN,
        (2, math.inf, Revoke("s"), None),
        (6, 7, Verify("s", 0), DONE),
        (8, 9, Verify("s", 0), REVOKED),
    ],
    "tabs that refresh at once get one successor": [
        BORN,
        (2, 5, Refresh("s", 0), rotated(1)),
        (3, 6, Refresh("s", 0), rotated(1)),
        (7, 8, Verify("s", 0), DONE),
        (7, 8, Verify("s", 1), DONE),
    ],
    "a refresh whose answer was lost is repeated": [
        BORN,
        (2, math.inf, Refresh("s", 0), None),
        (3, 4, Refresh("s", 0), rotated(1)),
        (5, 6, Refresh("s", 1), rotated(2)),
        (7, 8, Verify("s", 0), SUPERSEDED),
    ],
    "a grandparent ends the session": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (4, 5, Refresh("s", 1), rotated(2)),
        (6, 7, Refresh("s", 0), REUSED),
        (8, 9, Verify("s", 2), REVOKED),
    ],
    "a parent may end it once the overlap is over": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (OVERLAP_NS, OVERLAP_NS + 3, Refresh("s", 0), REUSED),
    ],
    "what ends a subject's or the project's sessions ends this one": [
        BORN,
        (2, 3, RevokeSubject("alice"), DONE),
        (4, 5, Verify("s", 0), Refused("subject_sessions_revoked")),
        (6, 7, Create("alice"), Issued("t")),
        (8, 9, RevokeProject(), DONE),
        (10, 11, Verify("t", 0), Refused("project_sessions_revoked")),
    ],
    "who is disabled gets none until enabled": [
        BORN,
        (2, 3, Disable("alice"), DONE),
        (4, 5, Create("alice"), Refused("subject_disabled")),
        (6, 7, Enable("alice"), DONE),
        (8, 9, Verify("s", 0), Refused("subject_sessions_revoked")),
        (10, 11, Create("alice"), Issued("t")),
    ],
}

BAD: dict[str, list[Line]] = {
    "a lost revoke": [BORN, (2, 3, Revoke("s"), DONE), (4, 5, Verify("s", 0), DONE)],
    "a revoke lost later": [
        BORN,
        (2, 3, Revoke("s"), DONE),
        (4, 5, Verify("s", 0), REVOKED),
        (6, 7, Verify("s", 0), DONE),
    ],
    "a revival beside the revoke": [
        BORN,
        (2, 20, Revoke("s"), DONE),
        (4, 5, Verify("s", 0), REVOKED),
        (6, 7, Verify("s", 0), DONE),
    ],
    "a refresh after a revoke": [BORN, (2, 3, Revoke("s"), DONE), (4, 5, Refresh("s", 0), rotated(1))],
    "an end without a reason": [BORN, (2, 3, Verify("s", 0), REVOKED)],
    "an end before its reason": [BORN, (2, 3, Verify("s", 0), REVOKED), (4, 5, Revoke("s"), DONE)],
    "a lost create": [BORN, (2, 3, Verify("s", 0), Refused("invalid_token"))],
    "a lost rotation": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (4, 5, Verify("s", 1), Refused("store_rollback")),
    ],
    "a rotation done twice": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (4, 5, Refresh("s", 0), rotated(2)),
    ],
    "a grandparent that is accepted": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (4, 5, Refresh("s", 1), rotated(2)),
        (6, 7, Verify("s", 0), DONE),
    ],
    "a retry that ends the session within the overlap": [
        BORN,
        (2, 3, Refresh("s", 0), rotated(1)),
        (4, 5, Refresh("s", 0), REUSED),
    ],
    "a subject's sessions ended and one left": [
        BORN,
        (2, 3, RevokeSubject("alice"), DONE),
        (4, 5, Verify("s", 0), DONE),
    ],
    "a project's sessions ended and one left": [
        BORN,
        (2, 3, RevokeProject(), DONE),
        (4, 5, Verify("s", 0), DONE),
    ],
    "a session for who is disabled": [
        BORN,
        (2, 3, Disable("alice"), DONE),
        (4, 5, Create("alice"), Issued("t")),
    ],
    "a session that enabling revived": [
        BORN,
        (2, 3, Disable("alice"), DONE),
        (4, 5, Enable("alice"), DONE),
        (6, 7, Verify("s", 0), DONE),
    ],
    "an unacknowledged revoke cannot explain two orders": [
        BORN,
        (2, math.inf, Revoke("s"), None),
        (4, 5, Verify("s", 0), REVOKED),
        (6, 7, Verify("s", 0), DONE),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_history_that_an_order_explains_passes(name: str) -> None:
    found = unexplained(at(*GOOD[name]))

    assert found == [], describe(found)


@pytest.mark.parametrize("name", BAD)
def test_a_history_that_no_order_explains_is_found(name: str) -> None:
    (found,) = unexplained(at(*BAD[name]))

    assert found.subject == "alice"
    assert found.stuck in found.part
    assert "no order" in describe([found])


def creates(*answers: Answer | None) -> History:
    return at(
        *((2 * n, 2 * n + 1 if each else math.inf, Create("alice"), each) for n, each in enumerate(answers))
    )


TOO_MANY = Refused("session_limit_reached")


@pytest.mark.parametrize(
    ("explained", "limit", "history"),
    [
        (True, Limit(2), creates(Issued("a"), Issued("b"), TOO_MANY)),
        (True, Limit(2), creates(Issued("a"), None, TOO_MANY)),
        (True, Limit(2), creates(Issued("a"), None, Issued("b"), TOO_MANY)),
        (False, Limit(2), creates(Issued("a"), Issued("b"), Issued("c"))),
        (False, Limit(2), creates(Issued("a"), TOO_MANY)),
        (False, None, creates(Issued("a"), TOO_MANY)),
        (
            True,
            Limit(1, evicts=True),
            [
                *creates(Issued("a"), Issued("b")),
                *at((8, 9, Verify("a", 0), REVOKED), (8, 9, Verify("b", 0), DONE)),
            ],
        ),
        (
            False,
            Limit(1, evicts=True),
            [*creates(Issued("a"), Issued("b")), *at((8, 9, Verify("a", 0), DONE))],
        ),
    ],
)
def test_limits_are_part_of_the_model(explained: bool, limit: Limit | None, history: History) -> None:
    assert (unexplained(history, Model(limit)) == []) is explained


def test_of_many_subjects_only_those_that_are_wrong_are_named() -> None:
    history = at(
        BORN,
        (0, 1, Create("bob"), Issued("t")),
        (2, 3, Revoke("t"), DONE),
        (4, 5, Verify("t", 0), DONE),
        (4, 5, Verify("s", 0), DONE),
    )

    assert [each.subject for each in unexplained(history)] == ["bob"]


def test_two_texts_of_one_generation_are_a_fork() -> None:
    history = at(
        BORN, (2, 3, Refresh("s", 0), rotated(1)), (4, 5, Refresh("s", 0), Refreshed(1, "another text"))
    )

    assert forks(history) == [("s", 1)]
    assert forks(history[:2]) == []


def test_much_that_is_unknown_is_searched_in_time() -> None:
    """An outage leaves many doubtful writes behind; what changes nothing is not tried in every order."""
    doubts = [Operation.unknown(10 + n, Revoke("s")) for n in range(12)]
    doubts += [Operation.unknown(30 + n, Refresh("s", 0)) for n in range(6)]
    proofs = at(*((100 + 2 * n, 101 + 2 * n, Verify("s", 0), DONE) for n in range(50)))

    assert unexplained([*at(BORN), *doubts, *proofs]) == []


# -- reads that may be stale

BOUND = 10
STALE: dict[str, tuple[list[Operation], bool]] = {
    "what another node ended may be accepted for as long as the bound": (
        [*at(BORN), Operation(2, 5, Revoke("s"), DONE, 0), Operation(14, 15, Verify("s", 0), DONE, 1)],
        True,
    ),
    "but not for longer": (
        [*at(BORN), Operation(2, 5, Revoke("s"), DONE, 0), Operation(16, 17, Verify("s", 0), DONE, 1)],
        False,
    ),
    "a node has seen at once what it ended itself": (
        [
            *at(BORN),
            Operation(2, 5, RevokeSubject("alice"), DONE, 1),
            Operation(6, 7, Verify("s", 0), DONE, 1),
        ],
        False,
    ),
    "what a command ended is another's": (
        [*at(BORN), Operation(2, 5, RevokeProject(), DONE), Operation(6, 7, Verify("s", 0), DONE, 1)],
        True,
    ),
    "what a node did to another session says nothing of this one": (
        [
            *at(BORN, (0, 1, Create("alice"), Issued("t"))),
            Operation(2, 5, Revoke("s"), DONE, 0),
            Operation(6, 7, Revoke("t"), DONE, 1),
            Operation(8, 9, Verify("s", 0), DONE, 1),
        ],
        True,
    ),
    "a refusal is never stale": (
        [
            *at(BORN),
            Operation(2, 3, Refresh("s", 0), rotated(1), 0),
            Operation(4, 5, Refresh("s", 1), rotated(2), 0),
            Operation(6, 7, Verify("s", 0), DONE, 1),
            Operation(8, 9, Verify("s", 1), SUPERSEDED, 1),
        ],
        False,
    ),
}


@pytest.mark.parametrize("name", STALE)
def test_a_verify_may_be_as_stale_as_is_allowed_and_no_staler(name: str) -> None:
    history, is_explained = STALE[name]

    assert (unexplained(history, bound_ns=BOUND) == []) == is_explained
    assert unexplained(history) != []
