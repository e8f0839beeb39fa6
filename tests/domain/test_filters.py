"""Which events and subjects a list is about, and which of an id's events are its present holder's."""

from __future__ import annotations

import pytest

from sessiond.domain.endings import Ending
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import DEFAULT_PROJECT, ProjectId, SubjectId
from sessiond.domain.namesakes import is_formers, predates, since_deleted
from sessiond.domain.session_filters import Filter, Span, State
from sessiond.domain.sessions import Client, SessionKind
from sessiond.domain.subject_filters import SubjectFilter
from sessiond.domain.subjects import Subject, SubjectKind
from tests.domain.samples import ALICE, NOW, PARTITION, SUBJECT_EPOCH, a_session, a_standing, a_subject

ELSEWHERE = ProjectId("00000000-0000-4000-8000-000000000002")
READ = Event(
    type=EventType.VAULT_READ, at=NOW, partition=PARTITION, project=DEFAULT_PROJECT, subject=ALICE, by="cli"
)


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (EventFilter(), True),
        (EventFilter(type=EventType.VAULT_READ), True),
        (EventFilter(type=EventType.VAULT_SAVED), False),
        (EventFilter(subject=ALICE), True),
        (EventFilter(subject=SubjectId("bob")), False),
        (EventFilter(happened=Span(NOW, NOW + 1)), True),
        (EventFilter(happened=Span(None, NOW)), False),
        (EventFilter(happened=Span(NOW + 1)), False),
        (EventFilter(subject=ALICE, happened=Span(NOW + 1)), False),
        (EventFilter(type=EventType.VAULT_READ, subject=SubjectId("bob")), False),
    ],
)
def test_an_event_is_listed_where_all_that_is_asked_holds(asked: EventFilter, held: bool) -> None:
    assert asked.holds(READ) is held


SAID = a_subject(name="Alice Ängström", hint="kiosk 7", profile={"mail": "A@example.com", "age": 41})


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (SubjectFilter(), True),
        (SubjectFilter(kind=SubjectKind.USER), True),
        (SubjectFilter(kind=SubjectKind.DEVICE), False),
        (SubjectFilter(text="LIC"), True),
        (SubjectFilter(text="ängström"), True),
        (SubjectFilter(text="KIOSK"), True),
        (SubjectFilter(text="a@EXAMPLE"), True),
        (SubjectFilter(text="41"), False),
        (SubjectFilter(text="bob"), False),
        (SubjectFilter(kind=SubjectKind.DEVICE, text="alice"), False),
    ],
)
def test_a_subject_is_listed_by_any_text_in_any_case_of_letters(asked: SubjectFilter, held: bool) -> None:
    assert asked.holds(SAID) is held


def test_the_operator_is_in_nobodys_list() -> None:
    assert not SubjectFilter().holds(a_subject(id=SubjectId("operator")))
    assert SubjectFilter().holds(a_subject(id=SubjectId("operator"), project=ELSEWHERE))


@pytest.mark.parametrize(
    ("subject", "formers"),
    [
        (a_subject(), False),
        (a_subject(created_at=NOW), False),
        (a_subject(epoch=SUBJECT_EPOCH + 1), False),
        (a_subject(created_at=NOW, epoch=SUBJECT_EPOCH + 1), True),
    ],
    ids=["its own", "older by the clocks", "ended with all", "a namesake's"],
)
def test_a_session_that_began_before_the_subject_under_another_epoch_was_a_formers(
    subject: Subject, formers: bool
) -> None:
    assert is_formers(a_standing(a_session(), subject)) is formers


def test_what_began_when_its_subject_did_does_not_predate_it() -> None:
    session = a_session(created_at=NOW)

    assert not predates(session, a_subject(created_at=NOW))
    assert predates(session, a_subject(created_at=NOW + 1))
    assert not predates(session, None)


def test_of_an_ids_events_those_after_its_last_deletion_are_the_present_holders() -> None:
    def told(what: EventType, subject: SubjectId = ALICE) -> Event:
        return Event(type=what, at=NOW, partition=PARTITION, project=DEFAULT_PROJECT, subject=subject)

    created, deleted = told(EventType.SUBJECT_CREATED), told(EventType.SUBJECT_DELETED)
    others = told(EventType.SUBJECT_DELETED, SubjectId("bob"))

    assert since_deleted([created, deleted, created, deleted, created, others], ALICE) == [created, others]
    assert since_deleted([created, others], ALICE) == [created, others]
    assert since_deleted([created, deleted], ALICE) == []


DESK = a_session(client=Client(name="Alice's Desk"), created_at=NOW, last_seen_at=NOW + 5)


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        (Filter(), True),
        (Filter(state=State.ENDED), False),
        (Filter(state=State.ALL), True),
        (Filter(session_kind=SessionKind.TOKENS), True),
        (Filter(session_kind=SessionKind.PIN), False),
        (Filter(client="DESK"), True),
        (Filter(client="phone"), False),
        (Filter(created=Span(NOW, NOW + 1)), True),
        (Filter(created=Span(NOW + 1)), False),
        (Filter(seen=Span(NOW + 5, NOW + 6)), True),
        (Filter(seen=Span(None, NOW + 5)), False),
        (Filter(created=Span(NOW), seen=Span(NOW + 6)), False),
        (Filter(created=Span(NOW + 1), seen=Span(NOW)), False),
        (Filter(session_kind=SessionKind.TOKENS, client="phone"), False),
    ],
)
def test_a_session_is_listed_where_all_that_is_asked_holds(asked: Filter, held: bool) -> None:
    assert asked.holds(DESK, None) is held


def test_what_has_ended_is_listed_among_the_ended_and_among_all() -> None:
    held = [Filter(state=state).holds(DESK, Ending.REVOKED) for state in State]

    assert dict(zip(State, held, strict=True)) == {
        State.LIVE: False,
        State.ENDED: True,
        State.ALL: True,
    }


def test_a_client_without_a_name_is_none_that_is_asked_for() -> None:
    assert not Filter(client="x").holds(a_session(), None)
    assert Filter(client="").holds(a_session(), None)
