"""Rows and structs: how sessions, other records and events lie in their tables."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import msgspec

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SessionId, id_text, partition_of
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import Session
from sessiond.storage.kinds import record_types

Row = Sequence[Any]
"""A row as asyncpg gives it, or the values of a composite as it takes them."""

STORED = (
    "id",
    "project",
    "subject",
    "version",
    "last_seen_at",
    "expires_at",
    "idle_timeout_ms",
    "generation",
    "seen_generation",
    "revoked_at",
    "revoked_reason",
)
"""The members of a session that have a column, in the order of the type `stored_session`; its body follows."""

_OTHERS = sorted(
    (field for field in msgspec.structs.fields(Session) if field.name not in STORED),
    key=lambda field: not field.required,  # those with a default last, as positions need it
)
_others_of = operator.attrgetter(*(field.name for field in _OTHERS))


def _member(field: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    if field.required:
        return field.name, field.type
    if field.default is msgspec.NODEFAULT:
        return field.name, field.type, msgspec.field(default_factory=field.default_factory)
    return field.name, field.type, field.default


_Body: Any = msgspec.defstruct("_Body", [_member(field) for field in _OTHERS], omit_defaults=True)
"""The members of a session that have no column, made from the record."""

_EVENT_TYPES = {kind.value: kind for kind in EventType}
_encode = msgspec.json.Encoder().encode
_decode_body = msgspec.json.Decoder(_Body).decode
_decode_data = msgspec.json.Decoder(dict[str, str | int | None]).decode


@functools.lru_cache(maxsize=4096)
def project_bytes(project: ProjectId) -> bytes:
    """Return the 16 bytes of a project's id."""
    return bytes.fromhex(project.replace("-", ""))


@functools.lru_cache(maxsize=4096)
def project_text(project: bytes) -> ProjectId:
    """Return a project's id from its 16 bytes."""
    return ProjectId(id_text(project))


def wanted_session(project: ProjectId, session: SessionId) -> Row:
    """Return the values of the type `wanted_session`, unnumbered, as a session answers for itself."""
    return (None, partition_of(session), project_bytes(project), session)


def key_row(n: int, key: Key) -> Row:
    """Return the values of the types `wanted_record` and `removal`."""
    return (n, key.kind, key.partition, project_bytes(key.project), key.id)


def session_row(op: int, session: Session) -> Row:
    """Return the values of the type `put_session`."""
    actor = session.actor
    return (
        op,
        session.version,
        session.last_seen_at,
        session.expires_at,
        session.generation,
        session.seen_generation,
        partition_of(session.id),
        actor.partition if actor is not None else None,
        session.id,
        project_bytes(session.project),
        session.subject,
        session.idle_timeout_ms,
        session.revoked_at,
        session.revoked_reason,
        actor.subject if actor is not None else None,
        actor.session if actor is not None else None,
        _encode(_Body(*_others_of(session))).decode(),
    )


def session_from(row: Row) -> Session:
    """Return the session of a row that is `STORED` and the body."""
    body = _decode_body(row[11])
    # In two steps: CPython passes more than fifteen named arguments in a dict, which takes twice as long as both.
    born = Session(
        id=row[0],
        project=project_text(row[1]),
        subject=row[2],
        version=row[3],
        last_seen_at=row[4],
        expires_at=row[5],
        generation=row[7],
        session_kind=body.session_kind,
        created_at=body.created_at,
        authenticated_at=body.authenticated_at,
        client=body.client,
        nonce=body.nonce,
        kid=body.kid,
        rotated_at=body.rotated_at,
        epochs=body.epochs,
    )
    return msgspec.structs.replace(
        born,
        idle_timeout_ms=row[6],
        seen_generation=row[8],
        revoked_at=row[9],
        revoked_reason=row[10],
        access_format=body.access_format,
        acr=body.acr,
        amr=body.amr,
        actor=body.actor,
        metadata=body.metadata,
        linked_from=body.linked_from,
        browser=body.browser,
        prev_kid=body.prev_kid,
        rotates=body.rotates,
    )


def record_row(op: int, record: Record) -> Row:
    """Return the values of the type `put_record`."""
    key = record.key
    return (
        op,
        record.version,
        record.sorted_at,
        key.partition,
        key.kind,
        project_bytes(key.project),
        key.id,
        record.owner,
        record.expires_at_or_none,
        record.purge_at,
        _encode(record).decode(),
    )


@functools.cache
def _decoder(kind: str) -> msgspec.json.Decoder[Record]:
    return msgspec.json.Decoder(record_types()[Kind(kind)])


def record_from(kind: str, body: str) -> Record:
    """Return the record of *kind* that *body* holds."""
    return _decoder(kind).decode(body)


def told_row(op: int, event: Event) -> Row:
    """Return the values of the type `told_event`, or of `rewritten_event` where *op* is the sequence."""
    return (
        op,
        event.at,
        event.partition,
        event.type,
        project_bytes(event.project),
        event.session,
        event.subject,
        event.by,
        _encode(event.data).decode() if event.data else None,
    )


def event_from(row: Row) -> Event:
    """Return the event of `at, partition, type, project, session, subject, by, data`."""
    return Event(
        at=row[0],
        partition=row[1],
        type=_EVENT_TYPES[row[2]],
        project=project_text(row[3]),
        session=row[4],
        subject=row[5],
        by=row[6],
        data=_decode_data(row[7]) if row[7] is not None else {},
    )
