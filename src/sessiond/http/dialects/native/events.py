"""The audit: what happened in a project, and whether anybody changed it since. For the operator alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.audit_chain import parse_head
from sessiond.domain.audit_check import Finding
from sessiond.domain.errors import Unavailable
from sessiond.domain.event_filters import EventFilter
from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import SubjectId, id_text, subject_id_fault
from sessiond.domain.instants import Instant, parse_rfc3339, rfc3339
from sessiond.domain.session_filters import Span
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import INVALID_CURSOR, require_sound
from sessiond.http.dialects.native.listing import Term
from sessiond.http.dialects.native.operator_only import OPERATOR_REQUIRED, operator
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.auditing import Report
from sessiond.services.bundle import Services

_TAGS = ("audit",)
_LONGEST_CURSOR = 18
_NO_INSTANT = "is no RFC 3339 date-time"
_BUSY = Unavailable("busy", "An audit is being checked; ask again when that is done.")


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events, and which page of them. Instants are RFC 3339."""

    type: EventType | None = None
    subject: Annotated[Term | None, Meta(description="About it, by it, or naming it.")] = None
    since: Annotated[str | None, Meta(description="Happened then or later.")] = None
    until: Annotated[str | None, Meta(description="Happened earlier.")] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    after: Annotated[str | None, Meta(description="`next` of the page before.")] = None


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `by`: a server key, the operator, the command line, a subject, or sessiond itself.

    `sequence` rises within a `partition`.
    """

    sequence: int
    partition: int
    at: str
    type: str
    session: str | None
    subject: str | None
    by: str
    data: Annotated[
        Mapping[str, str | int | None],
        Meta(description="What else is known of it; `by_…` is of whoever did it."),
    ]


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of events, oldest first. It may hold fewer than `limit`; `next` is null on the last."""

    items: Sequence[AuditEvent]
    next: str | None


class VerifyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the check compares with."""

    head: Annotated[str | None, Meta(description="A head that the log told: it must be in the chain.")] = None


class FaultView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with an event, or with a link of the chain, by its number."""

    fault: str
    sequence: int | None
    partition: int | None
    at: str | None
    type: str | None
    link: int | None


class VerifyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a check came to: `sound` where nothing was found.

    Of the `sealed` events `rewritten` were changed by erasing; `purged` are gone by retention; `unsealed` are too new.
    `late` ones were sealed over five minutes after they say that they happened: no server ran, or they were slipped in.
    `head` is null where nothing was ever sealed. At most 1,000 of the `findings` are listed.
    """

    sound: bool
    head: str | None
    sealed_at: str | None
    first_link: int | None
    links: int
    sealed: int
    rewritten: int
    purged: int
    late: int
    unsealed: int
    unsealed_since: str | None
    findings: int
    faults: Sequence[FaultView]


class AuditEvents:
    """The paths below `/v1/events`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._auditing = services.auditing
        self._credential = credentials.server_key
        self._verifying = asyncio.Lock()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "GET",
                "/v1/events",
                self.list_events,
                summary="List what happened in the project",
                tags=_TAGS,
                credential=self._credential,
                query=EventsQuery,
                answers={200: EventsPage},
                refusals=(OPERATOR_REQUIRED, INVALID_CURSOR),
            ),
            Endpoint(
                "GET",
                "/v1/events/verify",
                self.verify,
                summary="Check that no event was changed, removed, inserted or moved since it was sealed",
                tags=_TAGS,
                credential=self._credential,
                query=VerifyQuery,
                answers={200: VerifyAnswer},
                refusals=(OPERATOR_REQUIRED, _BUSY),
            ),
        )

    async def list_events(self, request: Request) -> Answer:
        """Answer a page of what happened, oldest first."""
        project, query = operator(request).project, request.query_as(EventsQuery)
        page = await self._auditing.page(
            project, _filter(query), limit=query.limit, after=_sequence(query.after)
        )
        following = None if page.following is None else str(page.following)
        return Answer(200, EventsPage(items=[_view(*row) for row in page.events], next=following))

    async def verify(self, request: Request) -> Answer:
        """Check the whole chain, one at a time in a process: it takes as long as the audit is large."""
        project, head = operator(request).project, request.query_as(VerifyQuery).head
        kept = None if head is None else parse_head(head)
        require_sound(
            {"/head": "is no head" if head is not None and kept is None else None},
            where="query",
        )
        if self._verifying.locked():
            raise _BUSY
        async with self._verifying:
            return Answer(200, _report(await self._auditing.verify(project, kept=kept)))


def _filter(query: EventsQuery) -> EventFilter:
    since, until = _instant(query.since), _instant(query.until)
    require_sound(
        {
            "/subject": None if query.subject is None else subject_id_fault(query.subject),
            "/since": _NO_INSTANT if query.since is not None and since is None else None,
            "/until": _NO_INSTANT if query.until is not None and until is None else None,
        },
        where="query",
    )
    subject = None if query.subject is None else SubjectId(query.subject)
    return EventFilter(type=query.type, subject=subject, happened=Span(since, until))


def _instant(text: str | None) -> Instant | None:
    return None if text is None else parse_rfc3339(text)


def _sequence(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal()) or len(after) > _LONGEST_CURSOR:
        raise INVALID_CURSOR
    return int(after)


def _view(sequence: int, event: Event) -> AuditEvent:
    return AuditEvent(
        sequence=sequence,
        partition=event.partition,
        at=rfc3339(event.at),
        type=event.type.value,
        session=None if event.session is None else id_text(event.session),
        subject=event.subject,
        by=event.by,
        data=event.data,
    )


def _report(report: Report) -> VerifyAnswer:
    return VerifyAnswer(
        sound=not report.findings,
        head=report.head,
        sealed_at=None if report.sealed_at is None else rfc3339(report.sealed_at),
        first_link=report.first,
        unsealed_since=None if report.unsealed_since is None else rfc3339(report.unsealed_since),
        faults=[_fault(each) for each in report.findings],
        **msgspec.structs.asdict(report.counts),
    )


def _fault(finding: Finding) -> FaultView:
    return FaultView(
        fault=finding.fault.value,
        sequence=finding.sequence,
        partition=finding.partition,
        at=None if finding.at is None else rfc3339(finding.at),
        type=None if finding.type is None else finding.type.value,
        link=finding.link,
    )
