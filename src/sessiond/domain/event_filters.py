"""Which events a list is about."""

from __future__ import annotations

import msgspec

from sessiond.domain.events import Event, EventType, concerns
from sessiond.domain.ids import SubjectId
from sessiond.domain.session_filters import Span


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What events must be like to be listed; None asks for nothing. *subject*: about it, by it, or naming it."""

    type: EventType | None = None
    subject: SubjectId | None = None
    happened: Span = Span()

    def holds(self, event: Event) -> bool:
        """Tell whether *event* is listed."""
        if self.type is not None and event.type is not self.type:
            return False
        return self.happened.holds(event.at) and (self.subject is None or concerns(event, self.subject))
