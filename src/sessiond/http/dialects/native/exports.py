"""All that is kept of a subject, as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sessiond.domain.endings import ending, how_ended
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.events import Event
from sessiond.domain.ids import id_text
from sessiond.domain.instants import Instant, rfc3339
from sessiond.domain.pins import Attempts
from sessiond.domain.sessions import Standing
from sessiond.domain.subjects import Subject, is_operator
from sessiond.domain.vault import VaultEntry, is_valid
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.listed import EndedView, view_ended
from sessiond.http.dialects.native.sessions import manager, subject_id
from sessiond.http.dialects.native.shapes import SessionView, view
from sessiond.http.dialects.native.subject_shapes import SubjectView, view_subject
from sessiond.http.dialects.native.subjects import SUBJECT_UNKNOWN
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


class ExportedAttempts(msgspec.Struct, frozen=True, kw_only=True):
    """A counter of PINs that failed; what it counts is kept as a hash."""

    failures: int
    failed_at: str | None
    succeeded_at: str | None


class ExportedCreate(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a create with an `Idempotency-Key`; the key itself is kept as a hash."""

    created: str | None
    created_at: str


class ExportedLink(msgspec.Struct, frozen=True, kw_only=True):
    """To whom it was linked last, and the session that went on."""

    subject: str
    session: str


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
    """What is kept of a subject. Sessions and entries newest first, events oldest first.

    `subject` is null for a user of the vault who never was a subject. `linked_subjects` were linked to it last,
    `continued_in` are the sessions of users that went on from its own, `acts_in` those of others in which it acts.
    """

    exported_at: str
    subject: SubjectView | None
    pin: ExportedPin | None
    pin_attempts: Sequence[ExportedAttempts]
    linked_to: ExportedLink | None
    linked_subjects: Sequence[str]
    sessions: Sequence[ExportedSession]
    continued_in: Sequence[str]
    acts_in: Sequence[str]
    vault_entries: Sequence[ExportedEntry]
    idempotent_creates: Sequence[ExportedCreate]
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
        caller, subject = manager(request), subject_id(request.params["id"])
        if is_operator(caller.project, subject):
            raise SUBJECT_UNKNOWN
        return Answer(
            200, _shown(await self._services.exports.export(caller.project, subject, by=caller.initiator))
        )


def _shown(export: Export) -> ExportAnswer:
    return ExportAnswer(
        exported_at=rfc3339(export.at),
        subject=None if export.subject is None else view_subject(export.subject),
        pin=None if export.pin is None else ExportedPin(set_at=rfc3339(export.pin.set_at)),
        pin_attempts=[_attempts(counter) for counter in export.attempts],
        linked_to=None if export.subject is None else _link(export.subject),
        linked_subjects=[subject.id for subject in export.linked],
        sessions=[_session(standing, export.at) for standing in export.sessions],
        continued_in=[id_text(session.id) for session in export.continued],
        acts_in=[id_text(session.id) for session in export.acted],
        vault_entries=[_entry(entry, export.at) for entry in export.entries],
        idempotent_creates=[
            ExportedCreate(created=replay.created, created_at=rfc3339(replay.created_at))
            for replay in export.replays
        ],
        events=[_event(event) for event in export.events],
    )


def _attempts(counter: Attempts) -> ExportedAttempts:
    succeeded_at = counter.succeeded_at
    return ExportedAttempts(
        failures=counter.failures,
        failed_at=rfc3339(counter.failed_at) if counter.failed_at else None,
        succeeded_at=None if succeeded_at is None else rfc3339(succeeded_at),
    )


def _link(subject: Subject) -> ExportedLink | None:
    link = subject.link
    return None if link is None else ExportedLink(subject=link.user, session=id_text(link.session))


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
