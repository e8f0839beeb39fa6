"""Sessions: one subject's signed-in state on one client, and all that its life depends on."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import Partition, ProjectId, SessionId, SubjectId, instant_of, partition_of
from sessiond.domain.instants import Instant
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


class PriorActor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who acted as an actor before (RFC 8693 section 4.1); it only tells."""

    name: str
    actor: PriorActor | None = None


class Actor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who acts when it is not the subject (RFC 8693 section 4.1), why, and on which ticket.

    *subject*, *partition*, *session* and *epoch* are set where the actor is a subject of ours: the session ends with
    that session of the actor's, and with all of the actor's. *actor* is who acted as this actor before.
    """

    name: str
    reason: str
    ticket: str | None = None
    subject: SubjectId | None = None
    partition: Partition | None = None
    session: SessionId | None = None
    epoch: Epoch | None = None
    actor: PriorActor | None = None


class Browser(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session that lives in a browser's cookie knows of its browser.

    *remember* tells whether the cookie outlives the browser. *accounts* are the sessions of its other accounts, the one
    used last first. *successor* is the session that took this one's place there, under a new id.
    """

    remember: bool = True
    accounts: tuple[SessionId, ...] = ()
    successor: SessionId | None = None


class Epochs(msgspec.Struct, frozen=True, gc=False):
    """The epochs at a session's birth; it lives only while they are equal to today's."""

    deployment: Epoch
    project: Epoch
    subject: Epoch


class Session(Record, frozen=True, kw_only=True, gc=False):
    """One subject's signed-in state on one client.

    *idle_timeout_ms* None means none. *seen_generation* is the highest generation whose access token a node of ours
    has verified (0 at birth: nothing precedes it). *prev_kid* is the key of the previous generation's tokens.
    *linked_from* is the device or anonymous subject that it continues, for a user's session that one was linked to.
    *browser* is None but for a session of kind `browser`.
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
    browser: Browser | None = None
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
        return Key(self.kind, partition_of(self.id), self.project, self.id)

    @property
    def owner(self) -> str | None:
        return self.subject

    @property
    def sorted_at(self) -> Instant:
        return instant_of(self.id)

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

    def reborn(
        self,
        *,
        id: SessionId,  # noqa: A002  the member's name
        nonce: bytes,
        kid: int,
        now: Instant,
    ) -> Session:
        """Return the session that takes this one's place: of the same sign-in and limits, under a new id."""
        return msgspec.structs.replace(
            self,
            version=1,
            id=id,
            created_at=now,
            last_seen_at=now,
            nonce=nonce,
            kid=kid,
            prev_kid=None,
            generation=0,
            rotated_at=now,
            seen_generation=0,
        )

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
    return Key(Session.kind, partition_of(session), project, session)


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A session with everything its life depends on, read at one instant.

    *actor* is the subject who acts and *acting* the actor's own session, where the actor is a subject of ours.
    """

    session: Session
    subject: Subject | None
    project: Project | None
    deployment: Deployment | None
    actor: Subject | None = None
    acting: Session | None = None


def departed(standing: Standing) -> bool:
    """Tell whether the session was read in a database that was left, so that it may have ended elsewhere."""
    return standing.deployment is not None and standing.deployment.departed is not None


INVALID = Unauthenticated("invalid_token", "The token is not valid here.")
"""The one constant answer for everything that fails before the row, and for a row that is absent."""
