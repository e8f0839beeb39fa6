"""What sessions of others keep of an actor who was erased."""

from sessiond.domain.erasing import acts_in, without_actor
from sessiond.domain.ids import SubjectId
from sessiond.domain.sessions import Actor, PriorActor
from tests.domain.samples import a_session

SUE, NOBODY = SubjectId("sue"), SubjectId("erased_1")


def test_who_acts_becomes_nobody() -> None:
    session = a_session(actor=Actor(name="Sue of support", reason="ticket", subject=SUE, epoch=7))
    after = without_actor(session, SUE, NOBODY)
    assert after.actor == Actor(name=NOBODY, reason="ticket", subject=NOBODY, epoch=7)
    assert (after.version, acts_in(session, SUE), acts_in(after, SUE)) == (session.version + 1, True, False)


def test_who_acted_before_becomes_nobody_and_who_acts_stays() -> None:
    prior = PriorActor(name="sue", actor=PriorActor(name="tom"))
    session = a_session(actor=Actor(name="bob", reason="ticket", subject=SubjectId("bob"), actor=prior))
    after = without_actor(session, SUE, NOBODY)
    assert after.actor is not None
    assert (after.actor.name, after.actor.subject) == ("bob", "bob")
    assert after.actor.actor == PriorActor(name=NOBODY, actor=PriorActor(name="tom"))
    assert acts_in(session, SUE)


def test_in_other_sessions_nobody_of_hers_acts() -> None:
    other = a_session(actor=Actor(name="sue", reason="r", subject=SubjectId("another-sue")))
    assert not acts_in(other, SUE)
    assert not acts_in(a_session(), SUE)


def test_who_is_no_subject_of_ours_acts_by_name() -> None:
    guest, other = Actor(name="sue", reason="r"), Actor(name="tom", reason="r")

    assert acts_in(a_session(actor=guest), SUE)
    assert not acts_in(a_session(actor=other), SUE)
    assert without_actor(a_session(actor=guest), SUE, NOBODY).actor == Actor(name=NOBODY, reason="r")
    assert without_actor(a_session(actor=other), SUE, NOBODY).actor == other
    assert without_actor(a_session(), SUE, NOBODY).actor is None
