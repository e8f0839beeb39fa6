"""A user as the original describes one: what a subject's profile holds, and the shapes it is read and written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec

from sessiond.domain.instants import Instant
from sessiond.domain.subjects import Subject, SubjectKind

ANONYMOUS = "anonymous"
RESTRICTED_BY_ADMINISTRATOR = "restricted_by_administrator"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a subject's `profile` holds for this dialect; whoever else writes there may hold other members."""

    primary_email: str | None = None
    primary_email_verified: bool = False
    primary_email_auth_enabled: bool = False
    profile_image_url: str | None = None
    client_metadata: object = None
    client_read_only_metadata: object = None
    server_metadata: object = None
    restricted_by_admin: bool = False
    restricted_by_admin_reason: str | None = None
    restricted_by_admin_private_details: str | None = None

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Return the profile of *subject*; a member of another type counts as absent."""
        held = {name: subject.profile[name] for name in cls.__struct_fields__ if name in subject.profile}
        try:
            return msgspec.convert(held, cls)
        except msgspec.ValidationError:
            return msgspec.convert({name: value for name, value in held.items() if _fits(name, value)}, cls)


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Profile)}


def _fits(name: str, value: object) -> bool:
    try:
        msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError:
        return False
    return True


class RestrictedReason(msgspec.Struct, frozen=True):
    """Why a user is restricted: `anonymous` or `restricted_by_administrator`."""

    type: str


class ClientUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the user may see it."""

    id: str
    primary_email: str | None
    primary_email_verified: bool
    display_name: str | None
    client_metadata: object
    client_read_only_metadata: object
    profile_image_url: str | None
    signed_up_at_millis: int
    has_password: bool = False
    auth_with_email: bool
    oauth_providers: Sequence[Mapping[str, object]] = ()
    selected_team_id: str | None = None
    selected_team: Mapping[str, object] | None = None
    requires_totp_mfa: bool = False
    otp_auth_enabled: bool = False
    passkey_auth_enabled: bool = False
    is_anonymous: bool
    is_restricted: bool
    restricted_reason: RestrictedReason | None
    restricted_by_admin: bool
    restricted_by_admin_reason: str | None


class SignUpRisk(msgspec.Struct, frozen=True):
    """No risk is scored here."""

    bot: int = 0
    free_trial_abuse: int = 0


class RiskScores(msgspec.Struct, frozen=True):
    """No risk is scored here."""

    sign_up: SignUpRisk = SignUpRisk()


class ServerUser(ClientUser, frozen=True, kw_only=True):
    """A user as a server may see it."""

    primary_email_auth_enabled: bool
    server_metadata: object
    last_active_at_millis: int
    restricted_by_admin_private_details: str | None
    country_code: str | None = None
    risk_scores: RiskScores = RiskScores()


def restriction(subject: Subject) -> str | None:
    """Return why the user is restricted, or None."""
    if subject.anonymous:
        return ANONYMOUS
    return RESTRICTED_BY_ADMINISTRATOR if Profile.of(subject).restricted_by_admin else None


def is_user(subject: Subject | None) -> bool:
    """Tell whether *subject* is one that this dialect may know of: anyone but the operator."""
    return subject is not None and subject.subject_kind is not SubjectKind.OPERATOR


def client_view(subject: Subject) -> ClientUser:
    """Return the user as the user may see it."""
    return ClientUser(**_common(subject))


def server_view(subject: Subject, *, last_active_at: Instant) -> ServerUser:
    """Return the user as a server may see it."""
    profile = Profile.of(subject)
    return ServerUser(
        **_common(subject),
        primary_email_auth_enabled=profile.primary_email_auth_enabled,
        server_metadata=profile.server_metadata,
        last_active_at_millis=last_active_at,
        restricted_by_admin_private_details=profile.restricted_by_admin_private_details,
    )


def _common(subject: Subject) -> dict[str, Any]:
    profile, reason = Profile.of(subject), restriction(subject)
    return {
        "id": subject.id,
        "primary_email": profile.primary_email,
        "primary_email_verified": profile.primary_email_verified,
        "display_name": subject.name,
        "client_metadata": profile.client_metadata,
        "client_read_only_metadata": profile.client_read_only_metadata,
        "profile_image_url": profile.profile_image_url,
        "signed_up_at_millis": subject.created_at,
        "auth_with_email": profile.primary_email_auth_enabled,
        "is_anonymous": subject.anonymous,
        "is_restricted": reason is not None,
        "restricted_reason": None if reason is None else RestrictedReason(reason),
        "restricted_by_admin": profile.restricted_by_admin,
        "restricted_by_admin_reason": profile.restricted_by_admin_reason,
    }
