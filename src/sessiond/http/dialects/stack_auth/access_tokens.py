"""Access tokens: what they say about a user, and what a presented one proves."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessiond.crypto import jws
from sessiond.crypto.tokens import TokenKind
from sessiond.domain.endings import Ending
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import SessionId, id_text
from sessiond.domain.instants import Instant, later, second_of, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session, Standing
from sessiond.domain.subjects import Subject
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.errors import Known
from sessiond.http.dialects.stack_auth.headers import stack_header
from sessiond.http.dialects.stack_auth.profiles import ANONYMOUS, Profile, restriction
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.token_forms import STACK_ACCESS_FORMS, Form
from sessiond.services.tokens import Presented as Recognised

_LONGEST_NAME = 256
_SHORTEST_LIFE_MS = 30_000
"""The npm client throws when a token it has just fetched lives for less than 20 seconds."""

_FORMS = {None: Form.STACK_ACCESS, ANONYMOUS: Form.STACK_ANONYMOUS_ACCESS}


class AccessToken(msgspec.Struct, frozen=True):
    """A minted access token and the instant it expires."""

    text: str
    expires_at: Instant

    def __repr__(self) -> str:
        return f"AccessToken(expires_at={self.expires_at})"


class Presented(msgspec.Struct, frozen=True):
    """What a presented access token proves; *standing* is None when the session's user is gone."""

    session: SessionId
    standing: Standing | None


def mint(
    services: Services, session: Session, subject: Subject, policy: Policy, *, now: Instant
) -> AccessToken:
    """Return an access token for the session, by what the user is now."""
    reason = restriction(subject)
    form = _FORMS.get(reason, Form.STACK_RESTRICTED_ACCESS)
    life = min(later(second_of(now), policy.jwt_lifetime), session.expires_at)
    expires_at = unix_seconds(max(life, now + _SHORTEST_LIFE_MS)) * 1000
    text = services.tokens.jwt(
        form, session, now=now, expires_at=expires_at, first=_claims(session, subject, reason)
    )
    return AccessToken(text, expires_at)


def refresh_token(services: Services, session: Session) -> str:
    """Return the session's one refresh token."""
    return services.tokens.opaque(TokenKind.STACK_REFRESH, session, expires_at=session.expires_at)


def _claims(session: Session, subject: Subject, reason: str | None) -> Mapping[str, object]:
    profile = Profile.of(subject)
    return {
        "project_id": session.project,
        "branch_id": "main",
        "refresh_token_id": id_text(session.id),
        "role": "authenticated",
        "name": _printable(subject.name),
        "email": profile.primary_email,
        "email_verified": profile.primary_email_verified,
        "selected_team_id": None,
        "signed_up_at": subject.created_at // 1000,
        "is_anonymous": subject.anonymous,
        "is_restricted": reason is not None,
        "restricted_reason": None if reason is None else {"type": reason},
        "requires_totp_mfa": False,
    }


def _printable(name: str | None) -> str | None:
    """Return the name as it fits into a token, whatever an application made of it."""
    if name is None:
        return None
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:_LONGEST_NAME])


class AccessTokens:
    """Reads the access token of a request: checks 6, 7 and 8."""

    def __init__(self, services: Services) -> None:
        self._sessions = services.sessions

    async def presented(self, request: Request, project: str, *, outlived: bool) -> Presented | None:
        """Return what the request's access token proves, or None without one.

        *project* is what the request says. *outlived*: the session may have ended; its user then counts as gone.
        """
        text = stack_header(request, "access-token")
        if not text:
            return None
        recognised = await self._recognise(text)
        if request.now >= recognised.expires_at:
            raise _expired(text, recognised.expires_at)
        if recognised.project != project.lower():
            raise no.foreign_access_token(project, recognised.project)
        standing = await self._standing(text, request.now, outlived=outlived)
        _require_allowed(request, recognised.form, text)
        return Presented(recognised.session, standing)

    async def _recognise(self, text: str) -> Recognised:
        try:
            recognised = await self._sessions.recognise(text)
        except Unauthenticated:
            raise no.UNPARSABLE_ACCESS_TOKEN from None
        if recognised.form not in STACK_ACCESS_FORMS:
            raise no.UNPARSABLE_ACCESS_TOKEN
        return recognised

    async def _standing(self, text: str, now: Instant, *, outlived: bool) -> Standing | None:
        try:
            return (await self._sessions.verify(text, STACK_ACCESS_FORMS)).standing
        except Unauthenticated as refusal:
            refusal.forget_where()
            if outlived or refusal.code == Ending.SUBJECT_GONE:
                return None
        raise _expired(text, now)


def _require_allowed(request: Request, form: Form, text: str) -> None:
    anonymous = stack_header(request, "allow-anonymous-user") == "true"
    if form is Form.STACK_ANONYMOUS_ACCESS and not anonymous:
        raise no.ANONYMOUS_NOT_ALLOWED
    if form is Form.STACK_RESTRICTED_ACCESS:
        if anonymous or stack_header(request, "allow-restricted-user") == "true":
            return
        reason = _claims_of(text).get("restricted_reason")
        raise no.restricted_user(str(reason["type"]) if isinstance(reason, dict) else "unknown")


def _expired(text: str, at: Instant) -> Known:
    claims = _claims_of(text)
    project, user, session = (claims.get(name) for name in ("project_id", "sub", "refresh_token_id"))
    return no.access_token_expired(at, str(project), str(user), str(session))


def _claims_of(text: str) -> Mapping[str, object]:
    """Return the claims of a token whose signature passed."""
    unverified = jws.peek(text)
    return unverified.claims if unverified is not None else {}
