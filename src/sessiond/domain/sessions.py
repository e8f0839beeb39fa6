"""Sessions: one subject's signed-in state on one client, and whether it lives.

Admission is `tokens.md` section 2 from the row on: absent, nonce, key, revoked, absolute, idle, epochs, generation.
Everything before the row (text, key, MAC, expiry) is checked in `crypto`, without touching a store.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId, SessionId, SubjectId, id_text, partition_of
from sessiond.domain.instants import Instant, millis, rfc3339
from sessiond.domain.projects import Deployment, Epoch, Project
from sessiond.domain.records import Key, Kind, Record
from sessiond.domain.subjects import Subject


class SessionKind(enum.StrEnum):
    """What a session's holder was given: which tokens exist for it."""

    TOKENS = "tokens"
    BROWSER = "browser"
    OPERATOR = "operator"
    DEVICE = "device"
    PIN = "pin"
    STACK = "stack"


class AccessFormat(enum.StrEnum):
    """The form of the access tokens that a session of kind `tokens` gets."""

    OPAQUE = "opaque"
    JWT = "jwt"


class Client(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The software that holds the tokens, as it was seen at sign-in; *name* is what the user calls it."""

    address: str | None = None
    user_agent: str | None = None
    name: str | None = None


class Actor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who acts when it is not the subject (RFC 8693 section 4.1), and why.

    *subject* and *epoch* are set where the actor is a subject of ours: the session ends with the actor's sessions.
    """

    name: str
    reason: str
    subject: SubjectId | None = None
    epoch: Epoch | None = None


class Epochs(msgspec.Struct, frozen=True, gc=False):
    """The epochs at a session's birth; it lives only while they are equal to today's."""

    deployment: Epoch
    project: Epoch
    subject: Epoch


class Session(Record, frozen=True, kw_only=True, gc=False):
    """One subject's signed-in state on one client.

    *idle_timeout_ms* None means none. *seen_generation* is the highest generation whose access token a node of ours
    has verified (0 at birth: nothing precedes it). *prev_kid* is the key of the previous generation's tokens.
    *linked_from* is the device that it continues, for a user's session that a device was linked to.
    """

    kind: ClassVar[Kind] = Kind.SESSION
    id: SessionId
    project: ProjectId
    subject: SubjectId
    session_kind: SessionKind
    access_format: AccessFormat = AccessFormat.OPAQUE
    created_at: Instant
    authenticated_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    idle_timeout_ms: int | None = None
    client: Client = Client()
    acr: str | None = None
    amr: tuple[str, ...] = ()
    actor: Actor | None = None
    metadata: Mapping[str, object] = {}
    linked_from: SubjectId | None = None
    nonce: bytes
    kid: int
    prev_kid: int | None = None
    generation: int = 0
    rotated_at: Instant
    seen_generation: int = 0
    rotates: bool = True
    epochs: Epochs
    revoked_at: Instant | None = None
    revoked_reason: str | None = None

    @property
    def key(self) -> Key:
        return session_key(self.project, self.id)

    @property
    def owner(self) -> str | None:
        return self.subject

    @property
    def sorted_at(self) -> Instant:
        return self.created_at

    @property
    def expires_at_or_none(self) -> Instant | None:
        return self.expires_at

    def rotated(self, *, now: Instant, kid: int) -> Session:
        """Return the session one generation on, its new tokens under the key *kid*."""
        return msgspec.structs.replace(
            self,
            generation=self.generation + 1,
            rotated_at=now,
            prev_kid=self.kid,
            kid=kid,
            last_seen_at=max(now, self.last_seen_at),
            version=self.version + 1,
        )

    def revoked(self, *, now: Instant, reason: str) -> Session:
        """Return the session revoked at *now*; revoking twice keeps the first time and reason."""
        if self.revoked_at is not None:
            return self
        return msgspec.structs.replace(self, revoked_at=now, revoked_reason=reason, version=self.version + 1)

    def renamed(self, name: str | None) -> Session:
        """Return the session whose client is called *name*, or nothing."""
        return msgspec.structs.replace(self, client=msgspec.structs.replace(self.client, name=name))

    def under(self, epoch: Epoch) -> Session:
        """Return the session taken along to its subject's new *epoch*."""
        epochs = msgspec.structs.replace(self.epochs, subject=epoch)
        return msgspec.structs.replace(self, epochs=epochs, version=self.version + 1)

    def touched(self, *, seen_at: Instant, generation: int) -> Session:
        """Return the session seen: both take the maximum, the version stays, an ended session does not change."""
        if self.revoked_at is not None:
            return self
        return msgspec.structs.replace(
            self,
            last_seen_at=max(self.last_seen_at, seen_at),
            seen_generation=max(self.seen_generation, min(generation, self.generation)),
        )


def session_key(project: ProjectId, session: SessionId) -> Key:
    """Return the key of a session's record; its partition is in its id."""
    return Key(Kind.SESSION, partition_of(session), project, session)


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A session with everything its life depends on, read at one instant."""

    session: Session
    subject: Subject | None
    project: Project | None
    deployment: Deployment | None
    actor: Subject | None = None


class Ending(enum.StrEnum):
    """Why a session no longer lives; the values are the refusal codes shown to its holder."""

    REVOKED = "session_revoked"
    ABSOLUTE_TIMEOUT = "session_expired"
    IDLE_TIMEOUT = "session_idle"
    SUBJECT_GONE = "subject_gone"
    SUBJECT_DISABLED = "subject_disabled"
    SUBJECT_EPOCH = "subject_sessions_revoked"
    ACTOR_EPOCH = "actor_sessions_revoked"
    PROJECT_EPOCH = "project_sessions_revoked"
    DEPLOYMENT_EPOCH = "deployment_recovered"


def ending(standing: Standing, now: Instant) -> Ending | None:
    """Return why the session has ended by *now*, or None while it lives."""
    session = standing.session
    if session.revoked_at is not None:
        return Ending.REVOKED
    if now >= session.expires_at:
        return Ending.ABSOLUTE_TIMEOUT
    idle = session.idle_timeout_ms
    if idle is not None and now >= session.last_seen_at + idle:
        return Ending.IDLE_TIMEOUT
    return _overtaken(standing)


def _overtaken(standing: Standing) -> Ending | None:  # noqa: PLR0911  one return per rule
    session, subject, epochs = standing.session, standing.subject, standing.session.epochs
    if standing.deployment is None or standing.deployment.epoch != epochs.deployment:
        return Ending.DEPLOYMENT_EPOCH
    if standing.project is None or standing.project.epoch != epochs.project:
        return Ending.PROJECT_EPOCH
    if subject is None:
        return Ending.SUBJECT_GONE
    if subject.disabled_at is not None:
        return Ending.SUBJECT_DISABLED
    if subject.epoch != epochs.subject:
        return Ending.SUBJECT_EPOCH
    actor = session.actor
    if actor is not None and actor.subject is not None:
        acting = standing.actor
        if acting is None or acting.disabled_at is not None or acting.epoch != actor.epoch:
            return Ending.ACTOR_EPOCH
    return None


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a token whose MAC or signature passed says about its session.

    *nonce* is the 16 bytes of an opaque token; a JWT has None here: its `jti` was checked against the row instead.
    *expires_at* is the token's own, in milliseconds.
    """

    project: ProjectId
    session: SessionId
    kid: int
    generation: int
    expires_at: Instant
    nonce: bytes | None


INVALID = Unauthenticated("invalid_token", "The token is not valid here.")
"""The one constant answer for everything that fails before the row, and for a row that is absent."""


class Admission(enum.Enum):
    """How a claim stands to its session's generation."""

    CURRENT = enum.auto()
    PREVIOUS = enum.auto()
    NEWER = enum.auto()
    SUPERSEDED = enum.auto()
    FOREIGN = enum.auto()


def recent(session: Session, generation: int) -> bool:
    """Tell whether *generation* is the session's current or previous one."""
    return session.generation - 1 <= generation <= session.generation


def recognise(session: Session, claim: Claim) -> Admission:
    """Tell which generation of *session* the claim is of; `FOREIGN` when nonce or key are not the session's."""
    if claim.nonce is not None and not hmac.compare_digest(claim.nonce, session.nonce):
        return Admission.FOREIGN
    behind = session.generation - claim.generation
    if behind == 0:
        return Admission.CURRENT if claim.kid == session.kid else Admission.FOREIGN
    if behind == 1:
        return Admission.PREVIOUS if claim.kid == session.prev_kid else Admission.FOREIGN
    return Admission.NEWER if behind < 0 else Admission.SUPERSEDED


def ended_at(session: Session, why: Ending) -> Instant | None:
    """Return when the session ended, where the session alone tells it."""
    match why:
        case Ending.REVOKED:
            return session.revoked_at
        case Ending.ABSOLUTE_TIMEOUT:
            return session.expires_at
        case Ending.IDLE_TIMEOUT if session.idle_timeout_ms is not None:
            return session.last_seen_at + session.idle_timeout_ms
        case _:
            return None


def refuse_ended(standing: Standing, why: Ending) -> Unauthenticated:
    """Return the refusal that tells a token's holder why its session has ended, by which rule and when."""
    session, at = standing.session, ended_at(standing.session, why)
    data: dict[str, object] = {"session_id": id_text(session.id)}
    sentence = _SENTENCES[why]
    if why is Ending.REVOKED and at is not None:
        data["reason"] = session.revoked_reason
        sentence = f"The session was revoked ({session.revoked_reason}) at {rfc3339(at)}."
    if at is not None:
        data["ended_at"] = rfc3339(at)
    return Unauthenticated(why.value, sentence, data)


_SENTENCES = {
    Ending.REVOKED: "The session was revoked.",
    Ending.ABSOLUTE_TIMEOUT: "The session reached its absolute limit; sign in again.",
    Ending.IDLE_TIMEOUT: "The session reached its idle limit; sign in again.",
    Ending.SUBJECT_GONE: "The session's subject no longer exists.",
    Ending.SUBJECT_DISABLED: "The session's subject is disabled.",
    Ending.SUBJECT_EPOCH: "All sessions of the subject were ended; sign in again.",
    Ending.ACTOR_EPOCH: "The sessions of the one who acts were ended.",
    Ending.PROJECT_EPOCH: "All sessions of the project were ended; sign in again.",
    Ending.DEPLOYMENT_EPOCH: "All sessions were ended by a recovery; sign in again.",
}


def admit_access(standing: Standing, claim: Claim, *, now: Instant, grace: timedelta) -> Admission:
    """Return how an access token's claim stands, or raise `Unauthenticated`.

    `NEWER` is returned, not raised: the caller reads strictly and asks again before it refuses (`store_rollback`).
    """
    session = standing.session
    admission = recognise(session, claim)
    if admission is Admission.FOREIGN:
        raise INVALID
    why = ending(standing, now)
    if why is not None:
        raise refuse_ended(standing, why)
    tolerated = admission is Admission.PREVIOUS and now < session.rotated_at + millis(grace)
    if admission is Admission.SUPERSEDED or (admission is Admission.PREVIOUS and not tolerated):
        raise Unauthenticated("token_superseded", "A newer token was issued for this session; use that one.")
    return admission


def admitted_until(standing: Standing, generation: int, expires_at: Instant, *, grace: timedelta) -> Instant:
    """Return the first instant at which time alone changes the answer to an access token that is admitted now."""
    session, idle = standing.session, standing.session.idle_timeout_ms
    until = min(expires_at, session.expires_at)
    if idle is not None:
        until = min(until, session.last_seen_at + idle)
    if generation < session.generation:
        until = min(until, session.rotated_at + millis(grace))
    return until
