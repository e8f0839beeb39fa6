"""Who did something, and who may know from where."""

import pytest

from sessiond.domain.callers import OperatorCaller, ServerCaller, SubjectCaller, as_told_to
from sessiond.domain.events import Event, EventType, whence
from sessiond.domain.ids import DEFAULT_PROJECT, Partition, ProjectId, SubjectId, id_text
from sessiond.domain.initiators import COMMAND_LINE, SESSIOND, Initiator
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Actor, Session
from tests.domain.samples import NOW, a_session, a_standing

HERE = "192.0.2.7"
APP = ServerCaller(project=DEFAULT_PROJECT, name="app", key_id="k-1", address=HERE)
ELSEWHERE = ProjectId("7f3c8a52-9d41-4b6e-8f0a-2c5d1e9b7a60")


def told(by: Initiator, session: Session | None = None, project: ProjectId = DEFAULT_PROJECT) -> Event:
    """Return an event of *by*."""
    return by.did(
        EventType.POLICY_CHANGED,
        at=NOW,
        partition=Partition(0),
        project=project,
        session=None if session is None else session.id,
        data={"reason": "asked"},
    )


def test_an_application_is_told_by_its_keys_id_and_its_address() -> None:
    event = told(APP.initiator)
    assert event.by == "server_key:app"
    assert event.data == {"by_address": HERE, "by_key": "k-1", "reason": "asked"}


def test_the_operator_is_told_by_the_session_that_was_shown() -> None:
    standing = a_standing()
    by_session = OperatorCaller(project=DEFAULT_PROJECT, standing=standing, address=HERE).initiator
    by_token = OperatorCaller(project=DEFAULT_PROJECT, address=HERE).initiator
    assert told(by_session).data["by_session"] == id_text(standing.session.id)
    assert told(by_token).data == {"by_address": HERE, "reason": "asked"}


def test_a_subject_is_told_by_its_session_unless_the_event_is_about_that() -> None:
    standing = a_standing()
    by = SubjectCaller(standing=standing, address=HERE).initiator
    assert told(by).data["by_session"] == id_text(standing.session.id)
    assert session_event(standing.session, EventType.SESSION_CHANGED, by=by, now=NOW).data == {
        "by_address": HERE
    }


def test_who_acts_in_anothers_name_is_told_with_what_they_did_there() -> None:
    standing = a_standing(session=a_session(actor=Actor(name="sue", reason="ticket 4")))
    event = told(SubjectCaller(standing=standing, address=HERE).initiator, standing.session)
    assert (event.by, event.data["actor"], event.data["by_address"]) == ("actor:sue", "sue", HERE)


def test_what_came_over_no_network_has_no_address() -> None:
    assert (told(COMMAND_LINE).by, told(COMMAND_LINE).data) == ("cli", {"reason": "asked"})
    assert (told(SESSIOND).by, told(SESSIOND).data) == ("sessiond", {"reason": "asked"})


def test_a_sign_in_names_the_application_s_address_only_where_it_is_not_the_client_s() -> None:
    assert APP.initiator.beside(HERE).facts(None) == {}
    assert APP.initiator.beside("203.0.113.9").facts(None) == {"by_address": HERE}
    assert APP.initiator.beside(None).facts(None) == {"by_address": HERE}


@pytest.mark.parametrize(
    ("by", "project"),
    [
        ("operator", ELSEWHERE),
        ("actor:operator", ELSEWHERE),
        ("subject:operator", DEFAULT_PROJECT),
        ("x", ELSEWHERE),
    ],
)
def test_from_where_the_operator_works_is_known_to_the_operator_alone(by: str, project: ProjectId) -> None:
    event = told(Initiator(by, HERE, session=a_session()), project=project)
    key = ServerCaller(project=project, name="app", key_id="k")
    assert as_told_to(key, event).data == {"reason": "asked"}
    assert as_told_to(OperatorCaller(project=project), event) == event


@pytest.mark.parametrize("by", ["server_key:other", "subject:alice", "subject:operator"])
def test_an_application_knows_from_where_its_keys_and_subjects_did_something(by: str) -> None:
    event = told(Initiator(by, HERE), project=ELSEWHERE)
    assert as_told_to(ServerCaller(project=ELSEWHERE, name="app", key_id="k"), event) == event


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"by_address": HERE, "address": "203.0.113.9"}, HERE),
        ({"address": "203.0.113.9"}, "203.0.113.9"),
        ({"address": None, "network": "203.0.113.0/24"}, "203.0.113.0/24"),
        ({"reason": "x"}, None),
    ],
)
def test_a_list_tells_of_several_places_the_one_where_it_was_done(
    data: dict[str, str | None], place: str | None
) -> None:
    event = Event(
        type=EventType.VAULT_READ,
        at=NOW,
        partition=Partition(1),
        project=DEFAULT_PROJECT,
        subject=SubjectId("a"),
        data=data,
    )
    assert whence(event) == place
