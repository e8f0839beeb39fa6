"""What a list of sessions is asked for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from sessiond.domain.ids import SubjectId, subject_id_fault
from sessiond.domain.instants import Instant, parse_rfc3339
from sessiond.domain.session_filters import EVER, Filter, Span, State
from sessiond.domain.sessions import SessionKind
from sessiond.domain.texts import Name, text_fault
from sessiond.http.dialects.native.listed import require_sound

Term = Annotated[str, Meta(min_length=1, max_length=256)]
"""Something that is looked for."""

_BOUNDS = ("created_from", "created_before", "seen_from", "seen_before")


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions, and which page of them. Instants are RFC 3339."""

    subject: Annotated[Term | None, Meta(description="Whose; without it everybody's.")] = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    after: Annotated[str | None, Meta(description="`next` of the page before.")] = None
    state: Annotated[State, Meta(description="Whether they live.")] = State.LIVE
    kind: SessionKind | None = None
    actor: Annotated[Term | None, Meta(description="The id or the name of who impersonates.")] = None
    client: Annotated[Name | None, Meta(description="Part of the client's name, in any case.")] = None
    q: Annotated[
        Term | None,
        Meta(
            description="In any case, part of the subject's id, or of the client's name, address or user agent; or "
            "what the session's id begins with."
        ),
    ] = None
    created_from: Annotated[str | None, Meta(description="Created then or later.")] = None
    created_before: Annotated[str | None, Meta(description="Created earlier.")] = None
    seen_from: Annotated[str | None, Meta(description="Last seen then or later.")] = None
    seen_before: Annotated[str | None, Meta(description="Last seen earlier.")] = None


def filter_of(query: ListQuery) -> Filter:
    """Return what the query asks for; refuses a subject that cannot be, and bounds that are no instants."""
    texts: dict[str, str | None] = {name: getattr(query, name) for name in _BOUNDS}
    bounds = {name: parse_rfc3339(text) for name, text in texts.items() if text is not None}
    faults = {f"/{name}": "is no RFC 3339 date-time" for name, bound in bounds.items() if bound is None}
    named = {
        "/subject": None if query.subject is None else subject_id_fault(query.subject),
        "/actor": text_fault(query.actor),
        "/client": text_fault(query.client),
        "/q": text_fault(query.q),
    }
    require_sound(faults | named, where="query")
    return Filter(
        subject=None if query.subject is None else SubjectId(query.subject),
        state=query.state,
        session_kind=query.kind,
        actor=query.actor,
        client=query.client,
        text=query.q,
        created=_span(bounds.get("created_from"), bounds.get("created_before")),
        seen=_span(bounds.get("seen_from"), bounds.get("seen_before")),
    )


def _span(start: Instant | None, end: Instant | None) -> Span:
    return EVER if start is None and end is None else Span(start, end)
