"""Who may act as a subject, for how long, and how the chain of those who acted before is kept and told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.errors import Refusal
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.impersonation import (
    ACTOR_ENDED,
    ACTOR_IS_SUBJECT,
    IMPERSONATED,
    act_claim,
    acting_as,
    chain_fault,
    check_actor,
    check_own,
    longest_life,
)
from sessiond.domain.sessions import Actor, PriorActor, SessionKind, Standing
from tests.domain.samples import ALICE, NOW, a_session, a_standing, a_subject

OPS = SubjectId("ops")
SERVER = ServerCaller(project=DEFAULT_PROJECT, name="shop", key_id="k")
OPERATOR = OperatorCaller(project=DEFAULT_PROJECT)
ELSEWHERE = ProjectId("00000000-0000-4000-8000-000000000002")
HOUR = timedelta(hours=1)


def standing_of_ops(**changes: object) -> Standing:
    return a_standing(a_session(subject=OPS, **changes), a_subject(id=OPS))


def chain(*names: str) -> PriorActor | None:
    """Return who acted before, the last one first."""
    if not names:
        return None
    return PriorActor(name=names[0], actor=chain(*names[1:]))


@pytest.mark.parametrize("caller", [SERVER, OPERATOR])
def test_a_subject_whose_session_lives_may_act_as_another(caller: ServerCaller | OperatorCaller) -> None:
    acting = standing_of_ops()

    assert check_actor(acting, ALICE, caller, NOW) is acting


@pytest.mark.parametrize(
    ("acting", "refusal"),
    [
        (None, ACTOR_ENDED),
        (standing_of_ops(expires_at=NOW), ACTOR_ENDED),
        (standing_of_ops(project=ELSEWHERE), ACTOR_ENDED),
        (standing_of_ops(session_kind=SessionKind.OPERATOR), ACTOR_ENDED),
        (standing_of_ops(actor=Actor(name="bob", reason="ticket")), IMPERSONATED),
        (a_standing(), ACTOR_IS_SUBJECT),
    ],
    ids=["unknown", "ended", "another project's", "the operator's", "acted in itself", "the subject's own"],
)
def test_no_other_session_lets_anybody_act(acting: Standing | None, refusal: Refusal) -> None:
    with pytest.raises(type(refusal)) as refused:
        check_actor(acting, ALICE, SERVER, NOW)

    assert refused.value is refusal


def test_an_operators_session_lets_the_operator_act() -> None:
    acting = standing_of_ops(session_kind=SessionKind.OPERATOR)

    assert check_actor(acting, ALICE, OPERATOR, NOW) is acting


def test_what_is_refused_to_who_acts_has_its_codes() -> None:
    assert [each.code for each in (IMPERSONATED, ACTOR_ENDED, ACTOR_IS_SUBJECT)] == [
        "impersonated",
        "actor_session_ended",
        "actor_is_subject",
    ]
    check_own(a_session())
    with pytest.raises(type(IMPERSONATED)):
        check_own(a_session(actor=Actor(name="bob", reason="ticket")))


def test_who_acts_is_kept_with_all_that_ends_it() -> None:
    acting, prior = standing_of_ops(), PriorActor(name="robot")

    actor = acting_as(acting, reason="a call", ticket="T-1", prior=prior)

    assert actor == Actor(
        name="ops",
        reason="a call",
        ticket="T-1",
        subject=OPS,
        partition=acting.session.key.partition,
        session=acting.session.id,
        epoch=acting.session.epochs.subject,
        actor=prior,
    )


@pytest.mark.parametrize(
    ("asked", "most", "left", "life"),
    [
        (None, HOUR, None, HOUR),
        (2 * HOUR, HOUR, None, HOUR),
        (HOUR, 2 * HOUR, None, HOUR),
        (HOUR, 2 * HOUR, timedelta(milliseconds=1), timedelta(milliseconds=1)),
        (HOUR, 2 * HOUR, 3 * HOUR, HOUR),
    ],
    ids=[
        "the rule's",
        "no longer than the rule",
        "as asked",
        "no longer than the actor",
        "within the actor's",
    ],
)
def test_it_lives_no_longer_than_any_bound(
    asked: timedelta | None, most: timedelta, left: timedelta | None, life: timedelta
) -> None:
    acting = None if left is None else a_session(expires_at=NOW + left // timedelta(milliseconds=1))

    assert longest_life(asked, most, acting, NOW) == life


def test_four_may_have_acted_before() -> None:
    assert chain_fault("ops", chain("a", "b", "c", "d")) is None
    assert chain_fault("ops", chain("a", "b", "c", "d", "e")) == "names more than 4 actors before this one"


@pytest.mark.parametrize("names", [("x" * 510,), ("x" * 254, "y" * 254), ("é" * 255,)])
def test_their_names_have_512_bytes_together_as_json(names: tuple[str, ...]) -> None:
    last, *before = names

    assert chain_fault(last, chain(*before)) is None
    assert chain_fault(last + "x", chain(*before)) == "has names of more than 512 bytes together"


def test_a_claim_tells_who_acts_and_within_it_who_acted_before() -> None:
    claim = act_claim(Actor(name="ops", reason="a call", actor=chain("robot", "cron")))

    assert claim == {"sub": "ops", "act": {"sub": "robot", "act": {"sub": "cron"}}}
