"""The JSON of this dialect: what is asked and answered, for the OpenAPI document and for encoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MOST_MILLIS = 31_708_800_000
"""367 days: the longest life that may be asked for."""


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session for a user."""

    user_id: Annotated[str, Meta(description="The user's id, or `me`.", min_length=1)]
    expires_in_millis: Annotated[
        int | UnsetType,
        Meta(description="How long the session lives. Default: 30 days; 1 hour for an impersonation."),
    ] = UNSET
    is_impersonation: Annotated[
        bool | UnsetType, Meta(description="Whether somebody else will use the session.")
    ] = UNSET


class NewSessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The new session's tokens."""

    refresh_token: str
    access_token: str


class AnonymousAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An anonymous user's tokens."""

    access_token: str
    refresh_token: str
    user_id: str


class AccessTokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh access token."""

    access_token: str


class AddressInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session was opened from; no place is derived from the address."""

    ip: str


class SessionItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One session. Instants are milliseconds since 1970."""

    id: str
    user_id: str
    created_at: int
    last_used_at: int
    is_impersonation: bool
    is_current_session: bool
    last_used_at_end_user_ip_info: AddressInfo | None = None


class SessionList(msgspec.Struct, frozen=True, kw_only=True):
    """All live sessions of a user, newest first."""

    items: Sequence[SessionItem]
    is_paginated: Literal[False] = False


class UserQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whose sessions. A server may leave it out when it ends one."""

    user_id: Annotated[str | UnsetType, Meta(description="The user's id, or `me`.")] = UNSET


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys, besides those of users who are neither restricted nor anonymous."""

    include_restricted: Annotated[str | UnsetType, Meta(description="`true` or `false`.")] = UNSET
    include_anonymous: Annotated[
        str | UnsetType, Meta(description="`true` (includes restricted users' keys) or `false`.")
    ] = UNSET


class SuccessAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Done."""

    success: Literal[True] = True


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to be created."""

    display_name: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    primary_email: str | UnsetType | None = UNSET
    primary_email_verified: bool | UnsetType = UNSET
    primary_email_auth_enabled: bool | UnsetType = UNSET
    profile_image_url: str | UnsetType | None = UNSET
    client_metadata: object = UNSET
    client_read_only_metadata: object = UNSET
    server_metadata: object = UNSET
    is_anonymous: bool | UnsetType = UNSET
    restricted_by_admin: bool | UnsetType = UNSET
    restricted_by_admin_reason: str | UnsetType | None = UNSET
    restricted_by_admin_private_details: str | UnsetType | None = UNSET


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh, as RFC 6749 section 6 asks for it. Other members are ignored."""

    grant_type: Literal["refresh_token"]
    client_id: Annotated[str, Meta(description="The project's id.")]
    refresh_token: str
    client_secret: Annotated[
        str | UnsetType, Meta(description="The publishable key; anything where the project has none.")
    ] = UNSET


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A fresh access token. The refresh token stays the same, so none is sent."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    scope: str = "legacy"
    after_callback_redirect_url_camel: None = msgspec.field(default=None, name="afterCallbackRedirectUrl")
    after_callback_redirect_url: None = None


class StackJwk(msgspec.Struct, frozen=True, kw_only=True):
    """A public ES256 key (RFC 7517, RFC 7518 section 6.2.1)."""

    kty: str
    crv: str
    alg: str
    kid: str
    x: str
    y: str


class StackJwks(msgspec.Struct, frozen=True, kw_only=True):
    """A JWK Set (RFC 7517 section 5)."""

    keys: Sequence[StackJwk]
