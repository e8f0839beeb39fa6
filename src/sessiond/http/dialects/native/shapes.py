"""The JSON of the native API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sessiond.domain.ids import id_text
from sessiond.domain.instants import rfc3339
from sessiond.domain.sessions import Actor, PriorActor, Session


class ClientView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The software that holds the tokens, as it was seen at sign-in."""

    address: str | None
    user_agent: str | None
    name: str | None


class PriorActorView(msgspec.Struct, frozen=True, kw_only=True):
    """Who acted as an actor before."""

    name: str
    actor: PriorActorView | None


class ActorView(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts when it is not the subject, why, and on which ticket.

    `subject` and `session` tell which subject of yours it is, and by which session; null for anybody else. `actor` is
    who acted as this actor before, null for nobody.
    """

    name: str
    reason: str
    ticket: str | None
    subject: str | None
    session: str | None
    actor: PriorActorView | None


class SessionView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session as it is shown. Instants are RFC 3339 in UTC."""

    id: str
    subject: str
    kind: str
    created_at: str
    authenticated_at: str
    last_seen_at: str
    expires_at: str
    idle_timeout_seconds: int | None
    client: ClientView
    acr: str | None
    amr: Sequence[str]
    actor: ActorView | None
    metadata: Mapping[str, object]


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One session."""

    session: SessionView


class TokensAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A session's tokens. `expires_in` is the access token's life in seconds, `refresh_after` when to refresh it.

    Both count from now. `refresh_after` is drawn at random for each answer, from 50 to 90 % of the life.
    """

    token_type: Literal["Bearer"]
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_after: int


class CreatedAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A new session with its tokens; with `delivery: cookie` the session alone."""

    session: SessionView
    token_type: str | None = None
    access_token: str | None = None
    expires_in: int | None = None
    refresh_token: str | None = None
    refresh_after: int | None = None


class RefreshSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A refresh token."""

    refresh_token: Annotated[str, Meta(min_length=1)]


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """A public ES256 key (RFC 7517, RFC 7518 section 6.2.1)."""

    kty: str
    crv: str
    alg: str
    kid: str
    x: str
    y: str


class JwksAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A JWK Set (RFC 7517 section 5)."""

    keys: Sequence[Jwk]


class StalenessView(msgspec.Struct, frozen=True, kw_only=True):
    """How old what a verify is answered with may be, and is at most; null while the feed of changes never was heard.

    While *feed* is `silent` every verify reads the database.
    """

    bound_seconds: float
    feed: Literal["heard", "silent"]
    measured_seconds: float | None


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Alive, or ready; then also, where the database may lose an answered write, what such a write rests on.

    And where `cache.max_staleness` is set, how old the answers of verifies may be.
    """

    status: str
    durability: str | None = None
    staleness: StalenessView | None = None


def view(session: Session) -> SessionView:
    """Return the session as it is shown."""
    client, actor, idle = session.client, session.actor, session.idle_timeout_ms
    return SessionView(
        id=id_text(session.id),
        subject=session.subject,
        kind=str(session.session_kind),
        created_at=rfc3339(session.created_at),
        authenticated_at=rfc3339(session.authenticated_at),
        last_seen_at=rfc3339(session.last_seen_at),
        expires_at=rfc3339(session.expires_at),
        idle_timeout_seconds=None if idle is None else idle // 1000,
        client=ClientView(address=client.address, user_agent=client.user_agent, name=client.name),
        acr=session.acr,
        amr=session.amr,
        actor=None if actor is None else actor_view(actor),
        metadata=session.metadata,
    )


def actor_view(actor: Actor) -> ActorView:
    """Return who acts as it is shown."""
    return ActorView(
        name=actor.name,
        reason=actor.reason,
        ticket=actor.ticket,
        subject=actor.subject,
        session=None if actor.session is None else id_text(actor.session),
        actor=_prior(actor.actor),
    )


def _prior(actor: PriorActor | None) -> PriorActorView | None:
    return None if actor is None else PriorActorView(name=actor.name, actor=_prior(actor.actor))
