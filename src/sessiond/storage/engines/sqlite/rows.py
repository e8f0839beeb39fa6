"""Rows and structs: how sessions, other records and events lie in their tables."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sessiond.domain.events import Event, EventType
from sessiond.domain.ids import ProjectId, SubjectId, id_text
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.sessions import AccessFormat, Actor, Browser, Client, Epochs, Session, SessionKind
from sessiond.storage.kinds import record_types

Row = tuple[Any, ...]
"""A row as sqlite3 gives it; STRICT tables vouch for its types.

One that is given to sqlite3 has no value of a subclass (an enum's member, a bool): each would be asked how it wants to
be stored, which takes longer than storing it.
"""


class _Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The members of a session that have no column."""

    access_format: AccessFormat = AccessFormat.OPAQUE
    client: Client = Client()
    acr: str | None = None
    amr: tuple[str, ...] = ()
    actor: Actor | None = None
    metadata: Mapping[str, object] = {}
    linked_from: SubjectId | None = None
    browser: Browser | None = None


_NO_REST = _Rest()
_NOTHING = b"{}"
_SESSION_KINDS = {kind.value: kind for kind in SessionKind}
_EVENT_TYPES = {kind.value: kind for kind in EventType}
_epochs = functools.lru_cache(maxsize=4096)(Epochs)
"""The same few for nearly all sessions, so that those in memory share them."""
_encode = msgspec.json.Encoder().encode
_decode_rest = msgspec.json.Decoder(_Rest).decode
_rest = functools.lru_cache(maxsize=1024)(_decode_rest)
"""One for all sessions of a client, as those in memory share it."""
_decode_data = msgspec.json.Decoder(dict[str, str | int | None]).decode

SESSION_COLUMNS = (
    "id",
    "project",
    "subject",
    "version",
    "session_kind",
    "created_at",
    "authenticated_at",
    "last_seen_at",
    "expires_at",
    "nonce",
    "kid",
    "generation",
    "rotated_at",
    "seen_generation",
    "rotates",
    "deployment_epoch",
    "project_epoch",
    "subject_epoch",
    "body",
    "idle_timeout_ms",
    "prev_kid",
    "revoked_at",
    "revoked_reason",
)
SESSION_NULLS = (None, None, None, None)
"""How the values of `SESSION_COLUMNS` end for most new sessions."""
RECORD_COLUMNS = (
    "kind",
    "project",
    "id",
    "partition",
    "version",
    "owner",
    "sorted_at",
    "expires_at",
    "purge_at",
    "body",
)
EVENT_COLUMNS = ("type", "at", "partition", "project", "session", "subject", "by", "data")


@functools.lru_cache(maxsize=4096)
def project_bytes(project: ProjectId) -> bytes:
    """Return the 16 bytes of a project's id."""
    return bytes.fromhex(project.replace("-", ""))


@functools.lru_cache(maxsize=4096)
def project_text(project: bytes) -> ProjectId:
    """Return a project's id from its 16 bytes."""
    return ProjectId(id_text(project))


def session_row(session: Session) -> Row:
    """Return the values of `SESSION_COLUMNS`."""
    rest = _encode(
        _Rest(
            session.access_format,
            session.client,
            session.acr,
            session.amr,
            session.actor,
            session.metadata,
            session.linked_from,
            session.browser,
        )
    )
    return (
        session.id,
        project_bytes(session.project),
        session.subject,
        session.version,
        str(session.session_kind),
        session.created_at,
        session.authenticated_at,
        session.last_seen_at,
        session.expires_at,
        session.nonce,
        session.kid,
        session.generation,
        session.rotated_at,
        session.seen_generation,
        1 if session.rotates else 0,
        session.epochs.deployment,
        session.epochs.project,
        session.epochs.subject,
        None if rest == _NOTHING else rest.decode(),
        session.idle_timeout_ms,
        session.prev_kid,
        session.revoked_at,
        session.revoked_reason,
    )


def session_from(row: Row) -> Session:
    """Return the session of a row that begins with `SESSION_COLUMNS`."""
    body, born = row[18], row[5]
    rest = _NO_REST if body is None else _rest(body)
    # In two steps: CPython passes more than fifteen named arguments in a dict, which takes twice as long as both.
    # Equal instants as one object: a session in memory is a third smaller without those and a client of its own.
    first = Session(
        id=row[0],
        project=project_text(row[1]),
        subject=row[2],
        version=row[3],
        session_kind=_SESSION_KINDS[row[4]],
        created_at=born,
        authenticated_at=born if row[6] == born else row[6],
        last_seen_at=born if row[7] == born else row[7],
        expires_at=row[8],
        client=rest.client,
        nonce=row[9],
        kid=row[10],
        generation=row[11],
        rotated_at=born if row[12] == born else row[12],
        epochs=_epochs(row[15], row[16], row[17]),
    )
    return msgspec.structs.replace(
        first,
        idle_timeout_ms=row[19],
        prev_kid=row[20],
        seen_generation=row[13],
        rotates=row[14] == 1,
        revoked_at=row[21],
        revoked_reason=row[22],
        access_format=rest.access_format,
        acr=rest.acr,
        amr=rest.amr,
        actor=rest.actor,
        metadata=rest.metadata,
        linked_from=rest.linked_from,
        browser=rest.browser,
    )


def key_row(key: Key) -> Row:
    """Return the values of a record's primary key."""
    return (str(key.kind), project_bytes(key.project), key.id, key.partition)


def record_row(record: Record, key: Key) -> Row:
    """Return the values of `RECORD_COLUMNS` for *record*, which lies at *key*."""
    return (
        *key_row(key),
        record.version,
        record.owner,
        record.sorted_at,
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


def event_row(event: Event) -> Row:
    """Return the values of `EVENT_COLUMNS`."""
    return (
        str(event.type),
        event.at,
        event.partition,
        project_bytes(event.project),
        event.session,
        event.subject,
        event.by,
        _encode(event.data).decode() if event.data else None,
    )


def event_from(row: Sequence[Any]) -> Event:
    """Return the event of `EVENT_COLUMNS`."""
    return Event(
        type=_EVENT_TYPES[row[0]],
        at=row[1],
        partition=row[2],
        project=project_text(row[3]),
        session=row[4],
        subject=row[5],
        by=row[6],
        data=_decode_data(row[7]) if row[7] is not None else {},
    )
