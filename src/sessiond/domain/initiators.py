"""Initiators: who did something, by which credential and from where, as far as events are to tell it.

The word is CADF's (DMTF DSP0262). In an event, `by` and the members that begin with `by_` are the initiator's; all
other members are about what was done, and to whom.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessiond.domain.events import BY_ADDRESS, BY_KEY, BY_SESSION, Event, EventType, Fact
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, id_text
from sessiond.domain.instants import Instant
from sessiond.domain.sessions import Session

Facts = dict[str, Fact]


class Initiator(msgspec.Struct, frozen=True, gc=False):
    """Who initiates something; *label* is how events name it.

    *address* is where the request came from, None for what came over no network. *key_id* is the server key that was
    shown, *session* the session.
    """

    label: str
    address: str | None = None
    key_id: str | None = None
    session: Session | None = None

    def beside(self, address: str | None) -> Initiator:
        """Return what a sign-in tells of its initiator, which names the client's *address* itself.

        There are many: that the address is the client's and what its key's id is goes without saying.
        """
        return Initiator(self.label, None if self.address == address else self.address, session=self.session)

    def facts(self, session: SessionId | None) -> Facts:
        """Return what an event about *session* tells beside the label: address, credential, and who acts for whom."""
        facts: Facts = {}
        if self.address is not None:
            facts[BY_ADDRESS] = self.address
        if self.key_id is not None:
            facts[BY_KEY] = self.key_id
        if self.session is not None:
            if self.session.id != session:
                facts[BY_SESSION] = id_text(self.session.id)
            if self.session.actor is not None:
                facts |= acting_facts(self.session)
        return facts

    def did(
        self,
        what: EventType,
        *,
        at: Instant,
        partition: Partition,
        project: ProjectId,
        session: SessionId | None = None,
        subject: SubjectId | None = None,
        data: Mapping[str, Fact] | None = None,
    ) -> Event:
        """Return the event that the initiator did *what*; *data* tells more of it."""
        facts = self.facts(session)
        if data:
            facts |= data
        return Event(
            type=what,
            at=at,
            partition=partition,
            project=project,
            session=session,
            subject=subject,
            by=self.label,
            data=facts,
        )


SESSIOND = Initiator("sessiond")
"""What this program does by itself."""

COMMAND_LINE = Initiator("cli")
"""What is done on the machine, by whoever may read the secrets there."""


def acting_facts(session: Session) -> Facts:
    """Return who acts in the session when it is not its subject, and by which session of theirs; else nothing."""
    actor = session.actor
    if actor is None:
        return {}
    own: Facts = {} if actor.session is None else {"actor_session": id_text(actor.session)}
    return {"actor": actor.name} | own
