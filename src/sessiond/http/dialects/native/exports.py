"""All that is kept of a subject, as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sessiond.domain.endings import ending, how_ended
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import Event
from sessiond.domain.ids import id_text
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.sessions import Standing
from sessiond.domain.vault import VaultEntry, is_valid
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import EndedView, view_ended
from sessiond.http.dialects.native.sessions import manager
from sessiond.http.dialects.native.shapes import SessionView, view
from sessiond.http.dialects.native.subject_shapes import SubjectView, view_subject
from sessiond.http.dialects.native.subjects import SUBJECT_UNKNOWN, named_subject
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.exports import Export

_SAMPLE_SUBJECT = InvalidRequest(
    "invalid_subject", "A subject is 1 to 256 bytes of UTF-8 without control characters."
)


class ExportedPin(msgspec.Struct, frozen=True, kw_only=True):
    """That there is a PIN; the PIN itself is not kept."""

    set_at: str


class ExportedSession(SessionView, frozen=True, kw_only=True):
    """A session; `ended` is null while it lives."""

    ended: EndedView | None


class ExportedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the vault, without its token."""

    id: str
    valid: bool
    created_at: str
    saved_at: str
    expires_at: str


class ExportedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to the subject or by it."""

    type: str
    at: str
    session: str | None
    subject: str | None
    by: str
    data: Mapping[str, str | int | None]


class ExportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a subject. Sessions and entries newest first, events oldest first."""

    exported_at: str
    subject: SubjectView
    pin: ExportedPin | None
    sessions: Sequence[ExportedSession]
    vault_entries: Sequence[ExportedEntry]
    events: Sequence[ExportedEvent]


class SubjectExports:
    """`GET /v1/subjects/{id}/export`."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "GET",
                "/v1/subjects/{id}/export",
                self.export,
                summary="Export all that is kept of a subject",
                description="Without secrets: no token, no PIN. That it was exported is an event.",
                tags=("subjects",),
                credential=self._credentials.server_key,
                params={"id": "The subject's id, percent-encoded."},
                answers={200: ExportAnswer},
                refusals=(_SAMPLE_SUBJECT, SUBJECT_UNKNOWN),
            ),
        )

    async def export(self, request: Request) -> Answer:
        """Gather what is kept of a subject."""
        subject, by = await named_subject(self._services, request), manager(request).label
        return Answer(200, _shown(await self._services.exports.export(subject.project, subject.id, by=by)))


def _shown(export: Export) -> ExportAnswer:
    return ExportAnswer(
        exported_at=rfc3339(export.at),
        subject=view_subject(export.subject),
        pin=None if export.pin is None else ExportedPin(set_at=rfc3339(export.pin.set_at)),
        sessions=[_session(standing, export.at) for standing in export.sessions],
        vault_entries=[_entry(entry, export.at) for entry in export.entries],
        events=[_event(event) for event in export.events],
    )


def _session(standing: Standing, now: Instant) -> ExportedSession:
    why = ending(standing, now)
    ended = None if why is None else view_ended(how_ended(standing, why))
    return ExportedSession(**msgspec.structs.asdict(view(standing.session)), ended=ended)


def _entry(entry: VaultEntry, now: Instant) -> ExportedEntry:
    return ExportedEntry(
        id=entry.id,
        valid=is_valid(entry.expires_at, now),
        created_at=rfc3339(entry.created_at),
        saved_at=rfc3339(entry.saved_at),
        expires_at=rfc3339(entry.expires_at),
    )


def _event(event: Event) -> ExportedEvent:
    return ExportedEvent(
        type=event.type.value,
        at=rfc3339(event.at),
        session=None if event.session is None else id_text(event.session),
        subject=event.subject,
        by=event.by,
        data=event.data,
    )
