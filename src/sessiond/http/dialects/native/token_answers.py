"""Tokens and cookies of native sessions, minted from the row: the same row gives the same refresh token."""

from __future__ import annotations

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.callers import SubjectCaller
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.instants import Instant, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.sessions import Session, SessionKind
from sessiond.http.answer import NO_CONTENT, Answer
from sessiond.http.cookies import LOOPBACK_COOKIE, SetCookie
from sessiond.http.dialects.native.shapes import CreatedAnswer, TokensAnswer, view
from sessiond.http.edge import host_name, is_loopback
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_CLEARED = ("Clear-Site-Data", '"cookies", "storage"')

_BROWSER = SessionKind.BROWSER
_NEEDS_HTTPS = InvalidRequest(
    "cookie_needs_https", "Session cookies need https: set public_url, or use plain http on loopback only."
)


async def tokens_of(services: Services, session: Session, policy: Policy, *, now: Instant) -> TokensAnswer:
    """Return the access and refresh token of the session's current generation."""
    minted = await services.native_tokens.mint(session, policy, now=now)
    return TokensAnswer(
        token_type="Bearer",
        access_token=minted.access_token,
        expires_in=minted.expires_in,
        refresh_token=minted.refresh_token,
        refresh_after=minted.refresh_after,
    )


async def created(services: Services, request: Request, session: Session, policy: Policy) -> Answer:
    """Return the answer to whoever made *session*: its tokens, or the one cookie of a browser's."""
    shown = view(session)
    location = ("Location", f"/v1/sessions/{shown.id}")
    if session.session_kind is _BROWSER:
        cookie = session_cookie(services, request, session)
        return Answer(201, CreatedAnswer(session=shown), headers=(location,), cookies=(cookie,))
    minted = await services.native_tokens.mint(session, policy, now=request.now)
    body = CreatedAnswer(
        session=shown,
        token_type="Bearer",
        access_token=minted.access_token,
        expires_in=minted.expires_in,
        refresh_token=minted.refresh_token,
        refresh_after=minted.refresh_after,
    )
    return Answer(201, body, headers=(location,))


def session_cookie(services: Services, request: Request, session: Session) -> SetCookie:
    """Return the one cookie of a browser session; it lives as long as the session, or the browser if that is less."""
    remember = session.browser is None or session.browser.remember
    left = session.expires_at - max(request.now, session.created_at)
    return SetCookie(
        name=cookie_name(request),
        value=services.tokens.opaque(TokenKind.BROWSER, session, expires_at=session.expires_at),
        max_age_seconds=max(1, unix_seconds(left)) if remember else None,
        secure=request.secure,
    )


def signed_out(request: Request) -> Answer:
    """Return the answer to a sign-out: the session cookies that came with it are deleted.

    A browser that signed out by its cookie forgets all that it keeps of us (Clear-Site-Data); it would on https only.
    """
    if not request.has_cookies:
        return NO_CONTENT
    cookies = [
        SetCookie(name=name, value="", secure=request.secure).deleted()
        for name in request.edge.session_cookies(request)
        if request.cookie(name) is not None
    ]
    caller = request.caller
    clears = request.secure and isinstance(caller, SubjectCaller) and caller.by_cookie
    return Answer(NO_CONTENT.status, headers=(_CLEARED,) if clears else (), cookies=cookies)


def cookie_name(request: Request) -> str:
    """Return what the session cookie is called here, or refuse: then nothing may have been issued for it."""
    if request.secure:
        return request.edge.session_cookie
    if not is_loopback(host_name(request.host)):
        raise _NEEDS_HTTPS
    return LOOPBACK_COOKIE
