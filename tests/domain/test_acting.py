"""How long a session lives in which someone else acts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from sessiond.domain.admission import admitted_until
from sessiond.domain.endings import Ended, Ending, ending, how_ended, refuse_ended
from sessiond.domain.ids import Partition, SubjectId, mint_id
from sessiond.domain.instants import rfc3339
from sessiond.domain.sessions import Actor, Epochs, Session, Standing
from sessiond.domain.subjects import OPERATOR
from tests.domain.samples import (
    DEPLOYMENT_EPOCH,
    NOW,
    PROJECT_EPOCH,
    SUBJECT_EPOCH,
    a_session,
    a_standing,
    a_subject,
)

OPS = SubjectId("ops")
ELSEWHERE = Partition(78)
OWN_ID = mint_id(now=NOW - 9000, partition=ELSEWHERE, entropy=bytes(8))
ACTOR = Actor(
    name="ops", reason="ticket", subject=OPS, partition=ELSEWHERE, session=OWN_ID, epoch=7, ticket="T-1"
)


def own_session(**changes: Any) -> Session:  # noqa: ANN401  any member may be chosen
    return a_session(id=OWN_ID, subject=OPS, **changes)


def acted(**changes: Any) -> Standing:  # noqa: ANN401
    """Return an impersonated session that lives, with *changes* around it."""
    standing = msgspec.structs.replace(
        a_standing(a_session(actor=ACTOR)),
        actor=a_subject(id=OPS, partition=ELSEWHERE, epoch=7),
        acting=own_session(),
    )
    return msgspec.structs.replace(standing, **changes)


def test_it_lives_while_its_actor_and_the_actors_session_do() -> None:
    assert ending(acted(), NOW) is None


@pytest.mark.parametrize(
    "actor",
    [None, a_subject(id=OPS, epoch=8), a_subject(id=OPS, epoch=7, disabled_at=NOW - 1)],
    ids=["gone", "ended everywhere", "disabled"],
)
def test_it_ends_with_all_of_its_actors_sessions(actor: object) -> None:
    assert ending(acted(actor=actor), NOW) is Ending.ACTOR_EPOCH


@pytest.mark.parametrize(
    "acting",
    [
        None,
        own_session().revoked(now=NOW - 1, reason="signed_out"),
        own_session(expires_at=NOW),
        own_session(idle_timeout_ms=500, last_seen_at=NOW - 500),
        a_session(id=OWN_ID, subject=SubjectId("someone")),
    ],
    ids=["gone", "revoked", "at its absolute limit", "at its idle limit", "another's"],
)
def test_it_ends_with_its_actors_own_session(acting: object) -> None:
    assert ending(acted(acting=acting), NOW) is Ending.ACTOR_SESSION


def test_the_refusal_tells_when_and_why_the_actors_session_ended() -> None:
    standing = acted(acting=own_session().revoked(now=NOW - 1, reason="signed_out"))

    data = refuse_ended(standing, Ending.ACTOR_SESSION).data

    assert (data["ended_at"], data["reason"]) == (rfc3339(NOW - 1), "signed_out")


@pytest.mark.parametrize(
    ("own", "at"),
    [
        (own_session(expires_at=NOW - 7), NOW - 7),
        (own_session(idle_timeout_ms=500, last_seen_at=NOW - 507), NOW - 7),
    ],
    ids=["absolute", "idle"],
)
def test_the_refusal_tells_when_the_actors_session_reached_its_limit(own: Session, at: int) -> None:
    ended = how_ended(acted(acting=own), Ending.ACTOR_SESSION)

    assert ended == Ended(Ending.ACTOR_SESSION, at, None)


@pytest.mark.parametrize(
    "epochs",
    [
        Epochs(DEPLOYMENT_EPOCH, PROJECT_EPOCH + 1, SUBJECT_EPOCH),
        Epochs(DEPLOYMENT_EPOCH + 1, PROJECT_EPOCH, SUBJECT_EPOCH),
        Epochs(DEPLOYMENT_EPOCH + 1, PROJECT_EPOCH + 1, SUBJECT_EPOCH),
    ],
    ids=["all of the project were ended", "a recovery", "both"],
)
def test_it_does_not_live_where_all_were_ended_between_the_two_and_nothing_more_is_told(
    epochs: Epochs,
) -> None:
    standing = acted(acting=own_session(epochs=epochs).revoked(now=NOW - 1, reason="signed_out"))
    living = acted(acting=own_session(epochs=epochs))

    assert ending(living, NOW) is Ending.ACTOR_SESSION
    assert how_ended(standing, Ending.ACTOR_SESSION) == Ended(Ending.ACTOR_SESSION)
    assert how_ended(acted(acting=None), Ending.ACTOR_SESSION) == Ended(Ending.ACTOR_SESSION)


def test_an_operator_who_was_spared_when_all_others_were_ended_may_act_after_it() -> None:
    actor = msgspec.structs.replace(ACTOR, subject=OPERATOR)
    later = Epochs(DEPLOYMENT_EPOCH, PROJECT_EPOCH + 1, SUBJECT_EPOCH)
    standing = a_standing(a_session(actor=actor, epochs=later))
    assert standing.project is not None
    swept = standing.project.with_epoch(
        PROJECT_EPOCH + 1, now=NOW - 500, reason="breach", by="shop", spares_operator=True
    )
    standing = msgspec.structs.replace(
        standing,
        project=swept,
        actor=a_subject(id=OPERATOR, partition=ELSEWHERE, epoch=7),
        acting=msgspec.structs.replace(own_session(), subject=OPERATOR),
    )

    assert ending(standing, NOW) is None


def test_an_actor_who_is_no_subject_of_ours_ends_nothing() -> None:
    session = a_session(actor=Actor(name="support@example.com", reason="ticket"))

    assert ending(a_standing(session), NOW) is None


@pytest.mark.parametrize(
    "acting",
    [own_session(expires_at=NOW + 77), own_session(idle_timeout_ms=100, last_seen_at=NOW - 23)],
    ids=["absolute", "idle"],
)
def test_what_is_remembered_of_it_is_asked_anew_at_the_limit_of_the_actors_session(acting: Session) -> None:
    until = admitted_until(acted(acting=acting), 0, NOW + 1000, grace=timedelta(seconds=30))

    assert until == NOW + 77
