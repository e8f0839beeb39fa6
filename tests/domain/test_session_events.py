"""What an event about a session tells besides what happened to it."""

from __future__ import annotations

from sessiond.domain.events import EventType
from sessiond.domain.ids import DEFAULT_PROJECT, id_text
from sessiond.domain.initiators import COMMAND_LINE
from sessiond.domain.session_events import session_event
from sessiond.domain.sessions import Actor
from tests.domain.samples import ALICE, NOW, PARTITION, a_session


def test_it_tells_the_reason_who_acts_there_and_more_where_there_is_more() -> None:
    own = a_session()
    acted = a_session(actor=Actor(name="sue", reason="ticket", session=own.id))

    plain = session_event(own, EventType.SESSION_REVOKED, by=COMMAND_LINE, now=NOW)
    full = session_event(
        acted, EventType.SESSION_REVOKED, by=COMMAND_LINE, now=NOW, reason="a leak", data={"kind": "tokens"}
    )

    assert (plain.type, plain.at, plain.by) == (EventType.SESSION_REVOKED, NOW, "cli")
    assert (plain.partition, plain.project, plain.session, plain.subject) == (
        PARTITION,
        DEFAULT_PROJECT,
        own.id,
        ALICE,
    )
    assert plain.data == {}
    assert full.data == {
        "actor": "sue",
        "actor_session": id_text(own.id),
        "reason": "a leak",
        "kind": "tokens",
    }
