"""Tokens and cookies of native sessions, minted from the row: the same row gives the same refresh token."""

from __future__ import annotations

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.instants import Instant, later, second_of, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.http.cookies import SetCookie
from sessiond.http.dialects.native.shapes import TokensAnswer
from sessiond.http.edge import host_name, is_loopback
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.token_forms import Form

SECURE_COOKIE = "__Host-sid"
LOOPBACK_COOKIE = "sid"

_NEEDS_HTTPS = InvalidRequest(
    "cookie_needs_https", "Session cookies need https: set public_url, or use plain http on loopback only."
)


def tokens_of(services: Services, session: Session, policy: Policy, *, now: Instant) -> TokensAnswer:
    """Return the access and refresh token of the session's current generation."""
    issued_at = second_of(now) if session.access_format is AccessFormat.JWT else now
    expires_at = min(later(issued_at, policy.access_token_lifetime), session.expires_at)
    if session.access_format is AccessFormat.JWT:
        access = services.tokens.jwt(
            Form.NATIVE_JWT, session, now=now, expires_at=expires_at, first={"client_id": session.project}
        )
    else:
        access = services.tokens.opaque(TokenKind.ACCESS, session, expires_at=expires_at)
    return TokensAnswer(
        token_type="Bearer",
        access_token=access,
        expires_in=max(1, unix_seconds(expires_at - now)),
        refresh_token=services.tokens.opaque(TokenKind.REFRESH, session, expires_at=session.expires_at),
    )


def session_cookie(services: Services, request: Request, session: Session) -> SetCookie:
    """Return the one cookie of a browser session; it lives as long as the session."""
    return SetCookie(
        name=_cookie_name(request),
        value=services.tokens.opaque(TokenKind.BROWSER, session, expires_at=session.expires_at),
        max_age_seconds=max(1, unix_seconds(session.expires_at - request.now)),
        secure=request.secure,
    )


def _cookie_name(request: Request) -> str:
    if request.secure:
        return SECURE_COOKIE
    if not is_loopback(host_name(request.host)):
        raise _NEEDS_HTTPS
    return LOOPBACK_COOKIE
