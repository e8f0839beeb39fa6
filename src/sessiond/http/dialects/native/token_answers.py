"""Tokens and cookies of native sessions, minted from the row: the same row gives the same refresh token."""

from __future__ import annotations

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.instants import Instant, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session
from sessiond.http.cookies import SetCookie
from sessiond.http.credentials import SESSION_COOKIES
from sessiond.http.dialects.native.shapes import TokensAnswer
from sessiond.http.edge import host_name, is_loopback
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.native_tokens import mint_native

SECURE_COOKIE = "__Host-sid"
LOOPBACK_COOKIE = "sid"

_NEEDS_HTTPS = InvalidRequest(
    "cookie_needs_https", "Session cookies need https: set public_url, or use plain http on loopback only."
)


def tokens_of(services: Services, session: Session, policy: Policy, *, now: Instant) -> TokensAnswer:
    """Return the access and refresh token of the session's current generation."""
    minted = mint_native(services.tokens, session, policy, now=now, entropy=services.entropy)
    return TokensAnswer(
        token_type="Bearer",
        access_token=minted.access_token,
        expires_in=minted.expires_in,
        refresh_token=minted.refresh_token,
        refresh_after=minted.refresh_after,
    )


def session_cookie(services: Services, request: Request, session: Session) -> SetCookie:
    """Return the one cookie of a browser session; it lives as long as the session."""
    return SetCookie(
        name=_cookie_name(request),
        value=services.tokens.opaque(TokenKind.BROWSER, session, expires_at=session.expires_at),
        max_age_seconds=max(1, unix_seconds(session.expires_at - max(request.now, session.created_at))),
        secure=request.secure,
    )


def deleted_cookies(request: Request) -> list[SetCookie]:
    """Return what deletes the session cookies that came with the request."""
    return [
        SetCookie(name=name, value="", secure=request.secure).deleted()
        for name in SESSION_COOKIES
        if request.cookie(name) is not None
    ]


def _cookie_name(request: Request) -> str:
    if request.secure:
        return SECURE_COOKIE
    if not is_loopback(host_name(request.host)):
        raise _NEEDS_HTTPS
    return LOOPBACK_COOKIE
