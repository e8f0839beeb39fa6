"""A session's timeline: it answers why a user was signed out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.endings import Ended, sentence
from sessiond.domain.events import Event
from sessiond.domain.instants import rfc3339
from sessiond.domain.timelines import reason_of
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import (
    INVALID_CURSOR,
    ListedSession,
    PageQuery,
    looked_up,
    session_id,
)
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.sessions import SESSION_UNKNOWN
from sessiond.services.timelines import Mark

_MARK = re.compile(r"(\d{1,19})-(\d{1,15})-(\d{1,19})-([01])", re.ASCII)


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `by`: a server key, the operator, the command line, a subject, or sessiond itself."""

    at: str
    type: str
    by: str
    reason: str | None
    data: Annotated[
        Mapping[str, str | int | None],
        Meta(description="What else is known of it; `by_…` is of whoever did it."),
    ]


class TimelineEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How the session ended, as it is judged now: the rule (`code`), in a sentence, why, when, and by whom.

    What is null is not known: time ends a session without anybody's doing, and who ended it is told by the page that
    has the event.
    """

    code: str
    detail: str
    reason: str | None
    at: str | None
    by: str | None


class TimelineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a session's story, oldest first. `next` asks for the following page; null on the last.

    `session` is null once its row was purged: then the events alone tell how it ended.
    """

    session: ListedSession | None
    ended: TimelineEnding | None
    items: Sequence[EventView]
    next: str | None


class SessionTimelines:
    """`GET /v1/sessions/{id}/timeline`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._timelines = services.timelines
        self._credential = credentials.server_key

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "GET",
                "/v1/sessions/{id}/timeline",
                self.show,
                summary="Tell what became of a session, and why it ended",
                description="Its own events, those that ended or disabled its subject, and those that ended every "
                "session of the project. It answers for as long as events are kept, also once the session was purged.",
                tags=("sessions",),
                credential=self._credential,
                params={"id": "The session's id."},
                query=PageQuery,
                answers={200: TimelineAnswer},
                refusals=(SESSION_UNKNOWN, INVALID_CURSOR),
            ),
        )

    async def show(self, request: Request) -> Answer:
        """Show a page."""
        caller, query = manager(request), request.query_as(PageQuery)
        told = await self._timelines.page(
            caller, session_id(request.params["id"]), limit=query.limit, after=_mark(query.after)
        )
        standing = told.standing
        return Answer(
            200,
            TimelineAnswer(
                session=None if standing is None else looked_up(standing, caller, request.now).session,
                ended=None if told.ended is None else _ending(told.ended, told.by),
                items=[event_view(event) for event in told.events],
                next=None if told.following is None else _text(told.following),
            ),
        )


def event_view(event: Event) -> EventView:
    """Return an event as it is shown."""
    data = {name: value for name, value in event.data.items() if name != "reason"}
    return EventView(
        at=rfc3339(event.at), type=event.type.value, by=event.by, reason=reason_of(event), data=data
    )


def _ending(ended: Ended, by: str | None) -> TimelineEnding:
    return TimelineEnding(
        code=ended.why.value,
        detail=sentence(ended),
        reason=ended.reason,
        at=None if ended.at is None else rfc3339(ended.at),
        by=by,
    )


def _text(mark: Mark) -> str:
    return f"{mark.sequence}-{mark.at}-{mark.first}-{int(mark.over)}"


def _mark(after: str | None) -> Mark | None:
    if after is None:
        return None
    match = _MARK.fullmatch(after)
    if match is None:
        raise INVALID_CURSOR
    sequence, at, first, over = (int(number) for number in match.groups())
    if max(sequence, first) >= 2**63:
        raise INVALID_CURSOR
    return Mark(sequence, at, first, bool(over))
