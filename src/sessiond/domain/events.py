"""What happened: events, written in the same change as what they tell."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId
from sessiond.domain.instants import Instant


class EventType(enum.StrEnum):
    """The closed list of what can happen, `noun.verb`."""

    SESSION_ISSUED = "session.issued"
    SESSION_CHANGED = "session.changed"
    SESSION_REVOKED = "session.revoked"
    SESSION_EVICTED = "session.evicted"
    SESSION_SWITCHED = "session.switched"
    REFRESH_REUSED = "session.refresh_reused"
    ROTATION_LOST = "session.rotation_lost"
    STORE_ROLLBACK = "store.rollback"
    CLOCK_STEPPED = "clock.stepped"
    SUBJECT_CREATED = "subject.created"
    SUBJECT_CHANGED = "subject.changed"
    SUBJECT_SESSIONS_REVOKED = "subject.sessions_revoked"
    SUBJECT_DISABLED = "subject.disabled"
    SUBJECT_ENABLED = "subject.enabled"
    SUBJECT_DELETED = "subject.deleted"
    SUBJECT_LINKED = "subject.linked"
    SUBJECT_EXPORTED = "subject.exported"
    PIN_SET = "pin.set"
    PIN_REFUSED = "pin.refused"
    PIN_UNLOCKED = "pin.unlocked"
    PROJECT_CREATED = "project.created"
    POLICY_CHANGED = "policy.changed"
    CLAIMS_CHANGED = "claims.changed"
    PROJECT_SESSIONS_REVOKED = "project.sessions_revoked"
    SERVER_KEY_ADDED = "server_key.added"
    SERVER_KEY_REVOKED = "server_key.revoked"
    MASTER_TOKEN_ROTATED = "master_token.rotated"
    KEYS_CHANGED = "keys.changed"
    DEPLOYMENT_RECOVERED = "deployment.recovered"
    VAULT_SAVED = "vault.saved"
    VAULT_CHANGED = "vault.changed"
    VAULT_READ = "vault.read"
    VAULT_DELETED = "vault.deleted"
    VAULT_CLEARED = "vault.cleared"
    VAULT_UNREADABLE = "vault.unreadable"
    VAULT_REFUSED = "vault.refused"


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened. *by* names who did it (a server key's name, `operator`, `cli`, a subject, `sessiond`).

    *data* holds public facts only; it never holds a token, PIN, identifier or vault byte.
    """

    type: EventType
    at: Instant
    partition: Partition
    project: ProjectId
    session: SessionId | None = None
    subject: SubjectId | None = None
    by: str = "sessiond"
    data: Mapping[str, str | int | None] = {}


def concerns(event: Event, subject: SubjectId) -> bool:
    """Tell whether the event is about *subject*, or of its own doing."""
    return event.subject == subject or event.by == f"subject:{subject}"
