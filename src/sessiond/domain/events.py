"""What happened: events, written in the same change as what they tell."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

import msgspec

from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, parse_id
from sessiond.domain.instants import Instant


class EventType(enum.StrEnum):
    """The closed list of what can happen, `noun.verb`."""

    SESSION_ISSUED = "session.issued"
    SESSION_CHANGED = "session.changed"
    SESSION_REVOKED = "session.revoked"
    SESSION_EVICTED = "session.evicted"
    SESSION_STEPPED_UP = "session.stepped_up"
    SESSION_IMPERSONATED = "session.impersonated"
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
    SUBJECT_ERASED = "subject.erased"
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
    DEPLOYMENT_MOVED = "deployment.moved"
    VAULT_SAVED = "vault.saved"
    VAULT_CHANGED = "vault.changed"
    VAULT_READ = "vault.read"
    VAULT_DELETED = "vault.deleted"
    VAULT_CLEARED = "vault.cleared"
    VAULT_UNREADABLE = "vault.unreadable"
    VAULT_REFUSED = "vault.refused"
    ATTEMPTS_REFUSED = "attempts.refused"


Fact = str | int | None

BY_ADDRESS, BY_KEY, BY_SESSION = "by_address", "by_key", "by_session"
"""Members of an event's data that tell of who did it: from where, by which server key, by which session."""


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
    data: Mapping[str, Fact] = {}


_NAMING = ("user", "linked_from", "actor")
"""Members of an event's data that name a subject by its id."""

_IMPERSONAL = frozenset(
    {
        *_NAMING,
        BY_KEY,
        BY_SESSION,
        "actor_session",
        "kind",
        "kept",
        "opened",
        "former",
        "successor",
        "entry",
        "count",
    }
)
"""Members that say nothing of whom the event is about, once the id is gone. All others may: addresses, reasons."""

_ANSWERABLE = ("server_key:", "operator", "subject:", "actor:")
"""How the names begin of those who show a credential. An address belongs to whoever did something."""


def concerns(event: Event, subject: SubjectId, sessions: Collection[SessionId] = ()) -> bool:
    """Tell whether the event is about *subject*, of its own doing, or names it; *sessions* are the subject's own."""
    return (
        event.subject == subject
        or did(event, subject)
        or any(event.data.get(member) == subject for member in _NAMING)
        or acting_session(event) in sessions
    )


def did(event: Event, subject: SubjectId) -> bool:
    """Tell whether *subject* did what the event tells."""
    return event.by in {_label(subject), _acting_label(subject)}


def acting_session(event: Event) -> SessionId | None:
    """Return the session by which its subject acts in the event's, where someone does."""
    text = event.data.get("actor_session")
    return parse_id(text) if isinstance(text, str) else None


def forgotten(
    event: Event, subject: SubjectId, pseudonym: SubjectId, sessions: Collection[SessionId]
) -> Event:
    """Return the event with *pseudonym* where it names *subject*, whose own *sessions* are.

    Where it is about the subject, of its data stays only what is known to be impersonal, and from where somebody else
    did it: erasing whom one has robbed must not hide the robber. Where the subject acted, its addresses go.
    """
    about, acted = event.subject == subject, acting_session(event) in sessions
    acted = acted or event.data.get("actor") == subject
    own = did(event, subject)
    others = event.by.startswith(_ANSWERABLE) and not own
    data: dict[str, Fact] = {}
    for member, value in event.data.items():
        if member == BY_ADDRESS:
            kept = others or not (about or own)
        elif member == "address":
            kept = not (about or acted or own)
        else:
            kept = not about or member in _IMPERSONAL
        if kept:
            data[member] = pseudonym if member in _NAMING and value == subject else value
    if acting_session(event) in sessions:
        data["actor"] = pseudonym
    by = event.by
    if own:
        by = _label(pseudonym) if by == _label(subject) else _acting_label(pseudonym)
    return msgspec.structs.replace(event, subject=pseudonym if about else event.subject, by=by, data=data)


def whence(event: Event) -> str | None:
    """Return from where it was done, if that is told: the initiator's address, else the client's, else its network."""
    for member in (BY_ADDRESS, "address", "network"):
        told = event.data.get(member)
        if isinstance(told, str):
            return told
    return None


def without_whereabouts(event: Event) -> Event:
    """Return the event without what it tells of who did it beside the name, for those who are not to know."""
    data = {member: value for member, value in event.data.items() if not member.startswith("by_")}
    return msgspec.structs.replace(event, data=data)


def _label(subject: SubjectId) -> str:
    return f"subject:{subject}"


def _acting_label(subject: SubjectId) -> str:
    return f"actor:{subject}"
