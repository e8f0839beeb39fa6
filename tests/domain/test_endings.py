"""What is known of an ending: by which rule, when, and why."""

import msgspec
import pytest

from sessiond.domain.endings import Ended, Ending, ending, how_ended, refuse_ended, sentence
from sessiond.domain.ids import ProjectId, SubjectId, id_text
from sessiond.domain.sessions import Actor, Standing
from sessiond.domain.subjects import OPERATOR, epoch_of
from tests.domain.samples import NOW, PROJECT_EPOCH, SUBJECT_EPOCH, a_session, a_standing, a_subject


def how(standing: Standing) -> Ended:
    """Return how a session that has ended by now did so."""
    why = ending(standing, NOW)
    assert why is not None
    return how_ended(standing, why)


def with_project(epochs: int) -> Standing:
    """Return a standing whose project got so many new epochs since."""
    standing = a_standing()
    assert standing.project is not None
    project = standing.project
    for n in range(epochs):
        project = project.with_epoch(PROJECT_EPOCH + 1 + n, now=NOW - 500 + n, reason="breach", by="shop")
    return msgspec.structs.replace(standing, project=project)


def test_a_revoked_session_knows_when_and_why() -> None:
    revoked = a_session().revoked(now=NOW - 3, reason="signed_out")
    assert how(a_standing(revoked)) == Ended(Ending.REVOKED, NOW - 3, "signed_out")


def test_a_limit_knows_when_it_was_reached() -> None:
    over, idle = a_session(expires_at=NOW - 2), a_session(idle_timeout_ms=600)
    assert how(a_standing(over)) == Ended(Ending.ABSOLUTE_TIMEOUT, NOW - 2)
    assert how(a_standing(idle)) == Ended(Ending.IDLE_TIMEOUT, NOW - 400)


def test_a_session_that_its_subjects_epoch_ended_knows_when_and_why() -> None:
    swept = a_subject().with_epoch(SUBJECT_EPOCH + 1, now=NOW - 500, reason="breach", by="shop")
    assert how(a_standing(subject=swept)) == Ended(Ending.SUBJECT_EPOCH, NOW - 500, "breach")


def test_a_session_that_its_projects_epoch_ended_knows_when_and_why() -> None:
    assert how(with_project(1)) == Ended(Ending.PROJECT_EPOCH, NOW - 500, "breach")


def operators(*spared: bool) -> Standing:
    """Return the standing of an operator's session whose project got new epochs since, each *spared* it or not."""
    standing = with_project(0)
    assert standing.project is not None
    project = standing.project
    for n, spares in enumerate(spared, 1):
        project = project.with_epoch(
            PROJECT_EPOCH + n, now=NOW - 500, reason="breach", by="shop", spares_operator=spares
        )
    session, operator = a_session(subject=OPERATOR), a_subject(id=OPERATOR)
    return msgspec.structs.replace(standing, project=project, session=session, subject=operator)


@pytest.mark.parametrize("spared", [(True,), (True, True)])
def test_the_operators_session_outlives_what_spared_it(spared: tuple[bool, ...]) -> None:
    assert ending(operators(*spared), NOW) is None


@pytest.mark.parametrize("spared", [(False,), (True, False), (False, True), (True, False, True)])
def test_what_did_not_spare_the_operators_session_ended_it_for_good(spared: tuple[bool, ...]) -> None:
    assert ending(operators(*spared), NOW) is Ending.PROJECT_EPOCH


def test_the_operators_next_session_is_born_into_the_epoch_that_was_spared() -> None:
    project = operators(True).project
    assert project is not None

    assert epoch_of(project, OPERATOR) == PROJECT_EPOCH
    assert epoch_of(project, SubjectId("alice")) == PROJECT_EPOCH + 1


def test_another_projects_subject_called_operator_is_nobody_special() -> None:
    standing = operators(True)
    assert standing.project is not None
    elsewhere = msgspec.structs.replace(standing.project, id=ProjectId("another"))
    assert ending(msgspec.structs.replace(standing, project=elsewhere), NOW) is Ending.PROJECT_EPOCH


def test_of_several_epochs_only_the_last_is_remembered() -> None:
    assert how(with_project(2)) == Ended(Ending.PROJECT_EPOCH)


def test_a_session_of_a_disabled_subject_knows_since_when() -> None:
    disabled = a_subject().disabled(now=NOW - 500, epoch=5, by="shop")
    again = disabled.disabled(now=NOW - 100, epoch=6, by="shop")
    assert how(a_standing(subject=again)) == Ended(Ending.SUBJECT_DISABLED, NOW - 500, "disabled")


def test_an_impersonation_knows_how_its_actors_sessions_ended() -> None:
    actor = a_subject(id="support").with_epoch(7, now=NOW - 500, reason="left", by="shop")
    session = a_session(actor=Actor(name="s", reason="r", subject=SubjectId("support"), epoch=SUBJECT_EPOCH))
    standing = msgspec.structs.replace(a_standing(session), actor=actor)
    assert how(standing) == Ended(Ending.ACTOR_EPOCH, NOW - 500, "left")


def test_a_recovery_and_a_subject_that_is_gone_tell_nothing_more() -> None:
    gone = msgspec.structs.replace(a_standing(), subject=None)
    recovered = msgspec.structs.replace(a_standing(), deployment=None)
    assert (how(gone), how(recovered)) == (Ended(Ending.SUBJECT_GONE), Ended(Ending.DEPLOYMENT_EPOCH))


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (with_project(1), "All sessions of the project were ended (breach) at {}; sign in again."),
        (with_project(2), "All sessions of the project were ended; sign in again."),
        (
            a_standing(a_session().revoked(now=NOW - 500, reason="breach")),
            "The session was revoked (breach) at {}.",
        ),
    ],
)
def test_a_refusal_says_what_is_known(standing: Standing, said: str) -> None:
    ended = how(standing)
    refusal = refuse_ended(standing, ended.why)
    assert refusal.detail == said.format("2027-01-15T07:59:59.500Z")
    assert refusal.data["session_id"] == id_text(standing.session.id)
    assert ("reason" in refusal.data) == (ended.reason is not None)
    assert refusal.data.get("reason") == ended.reason
    assert ("ended_at" in refusal.data) == (ended.at is not None)


@pytest.mark.parametrize(
    "ended",
    [
        Ended(Ending.REVOKED),
        Ended(Ending.REVOKED, at=NOW),
        Ended(Ending.REVOKED, reason="breach"),
    ],
)
def test_a_sentence_tells_reason_and_time_together_or_neither(ended: Ended) -> None:
    assert sentence(ended) == "The session was revoked."
