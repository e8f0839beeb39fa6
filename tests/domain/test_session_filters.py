"""Which sessions a filter holds for."""

import pytest

from sessiond.domain.ids import SubjectId, id_text
from sessiond.domain.session_filters import Filter
from sessiond.domain.sessions import Actor, Client
from tests.domain.samples import a_session

CLIENT = Client(address="2001:db8::7", user_agent="Mozilla/5.0 Firefox/132.0", name="Straße 9")
ACTED = Actor(name="Sue", reason="ticket", subject=SubjectId("support-1"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALI", True),
        ("2001:DB8", True),
        ("firefox", True),
        ("STRASSE", True),
        (id_text(a_session().id)[:13].upper(), True),
        (id_text(a_session().id)[1:13], False),
        ("bob", False),
    ],
)
def test_a_text_is_looked_for_in_what_is_shown_in_any_case(text: str, *, found: bool) -> None:
    assert Filter(text=text).holds(a_session(client=CLIENT), None) is found


def test_what_a_session_does_not_say_is_not_found() -> None:
    assert not Filter(text="none").holds(a_session(client=Client()), None)


@pytest.mark.parametrize(("actor", "found"), [("support-1", True), ("Sue", True), ("su", False), ("", False)])
def test_an_actor_is_its_id_or_its_name(actor: str, *, found: bool) -> None:
    assert Filter(actor=actor).holds(a_session(actor=ACTED), None) is found
    assert not Filter(actor=actor).holds(a_session(), None)
