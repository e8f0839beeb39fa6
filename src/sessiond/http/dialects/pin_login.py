"""Dialect: a name and a PIN for two cookies (Ambrosia POS).

Both tokens are HS256 JWTs. The refresh token never changes, since the document never sends a new one. A third cookie,
which only the sign-in sees, tells that this browser has signed in before: strangers cannot lock its owner out.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from sessiond.crypto.secrets import Secret
from sessiond.domain.errors import (
    InvalidRequest,
    Refusal,
    StateConflict,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from sessiond.domain.ids import DEFAULT_PROJECT
from sessiond.domain.pins import LONGEST_PIN, SHORTEST_PIN, throttled
from sessiond.domain.sessions import Client
from sessiond.http.answer import JSON, Answer
from sessiond.http.cookies import SetCookie
from sessiond.http.credentials import NOBODY, Credential, SecurityScheme
from sessiond.http.dialect import Dialect, RefusalMedia
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import status_of
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.pin_sign_in import InvalidCredentials, TokenText

ACCESS_COOKIE = "accessToken"
REFRESH_COOKIE = "refreshToken"
KNOWN_CLIENT_COOKIE = "knownClient"
LOGIN_PATH = "/auth/login"

_INVALID_TOKEN = Unauthenticated("invalid_token", "Invalid token")
_UNAUTHORIZED = Unauthenticated("unauthorized", "Unauthorized API access")
_REPEATED = InvalidRequest("repeated_cookie", "Two cookies are named refreshToken; clear the site's cookies.")
_LIMIT = StateConflict("session_limit_reached", "The subject already has 5 sessions; end one first.")
_BUSY = Unavailable("busy", "Too many PINs are being checked; try again in a moment.")


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name, compared without regard to case, and a PIN of 4 to 64 characters, compared as it stands.

    The lengths here are those of any Unicode form; the exact ones are the domain's.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    pin: Annotated[str, msgspec.Meta(min_length=SHORTEST_PIN, max_length=4 * LONGEST_PIN)]

    def __repr__(self) -> str:
        return "LoginRequest(…)"


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Signed in; both tokens are in cookies."""

    message: Literal["Login successful"] = "Login successful"


class RefreshAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fresh access token; the cookie has it, too."""

    message: Literal["Access token refreshed successfully"] = "Access token refreshed successfully"
    access_token: str


class LogoutAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Signed out."""

    message: Literal["Logout successful"] = "Logout successful"


class RefusedAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How this dialect says no: a message, or after too many attempts the seconds to wait."""

    message: str | msgspec.UnsetType = msgspec.UNSET
    retry_after: int | msgspec.UnsetType = msgspec.UNSET


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the name and PIN dialect over *services*."""
    return Dialect(
        name="pin_login",
        title="Name and PIN, with cookies (Ambrosia POS)",
        endpoints=PinLogin(services).endpoints(),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=RefusedAnswer),),
        prefixes=("/auth/login", "/auth/refresh", "/auth/logout"),
    )


def refuse(refusal: Refusal, _request: Request | None) -> Answer:
    """Return `{"message": …}`, or `{"retryAfter": …}` after too many attempts."""
    if isinstance(refusal, Throttled):
        return Answer(status_of(refusal), RefusedAnswer(retry_after=refusal.retry_after_seconds))
    return Answer(status_of(refusal), RefusedAnswer(message=refusal.detail))


class PinLogin:
    """The dialect's operations; its users are those of the default project."""

    def __init__(self, services: Services) -> None:
        self._sign_in = services.pin_sign_in

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (
            Endpoint(
                "POST",
                LOGIN_PATH,
                self.login,
                summary="Sign in with a name and a PIN",
                request=LoginRequest,
                answers={200: LoginAnswer},
                refusals=(InvalidCredentials(), _LIMIT, throttled(30_000), _BUSY),
                same_origin=True,
            ),
            Endpoint(
                "POST",
                "/auth/refresh",
                self.refresh,
                summary="Get a fresh access token for the refresh token in the cookie",
                credential=_by_cookies(REFRESH_COOKIE),
                answers={200: RefreshAnswer},
                refusals=(_INVALID_TOKEN, _REPEATED),
                same_origin=True,
            ),
            Endpoint(
                "POST",
                "/auth/logout",
                self.logout,
                summary="End the session and delete both cookies",
                description="The refresh token suffices where the access token has expired.",
                credential=_by_cookies(ACCESS_COOKIE, REFRESH_COOKIE),
                answers={200: LogoutAnswer},
                refusals=(_UNAUTHORIZED, _REPEATED),
                same_origin=True,
            ),
        )

    async def login(self, request: Request) -> Answer:
        """Issue a session to whoever knows the PIN, and put its tokens into cookies."""
        asked = request.body_as(LoginRequest)
        signed_in = await self._sign_in.login(
            DEFAULT_PROJECT,
            asked.name,
            Secret(asked.pin),
            client=Client(address=request.client_address, user_agent=request.user_agent),
            known_client=request.cookie(KNOWN_CLIENT_COOKIE),
        )
        cookies = (
            _cookie(ACCESS_COOKIE, signed_in.access_token),
            _cookie(REFRESH_COOKIE, signed_in.refresh_token),
            _cookie(KNOWN_CLIENT_COOKIE, signed_in.known_client, path=LOGIN_PATH),
        )
        return Answer(200, LoginAnswer(), cookies=cookies)

    async def refresh(self, request: Request) -> Answer:
        """Mint a fresh access token; the refresh token stays as it is."""
        presented = request.cookie(REFRESH_COOKIE)
        if presented is None:
            raise _INVALID_TOKEN
        try:
            token = await self._sign_in.refresh(presented)
        except Unauthenticated:
            raise _INVALID_TOKEN from None
        return Answer(
            200, RefreshAnswer(access_token=token.text.reveal()), cookies=(_cookie(ACCESS_COOKIE, token),)
        )

    async def logout(self, request: Request) -> Answer:
        """End the session, whichever of its tokens shows it; both are refused from now on."""
        access, refresh = request.cookie(ACCESS_COOKIE), request.cookie(REFRESH_COOKIE)
        try:
            await self._sign_in.logout(access, refresh, address=request.client_address)
        except Unauthenticated:
            raise _UNAUTHORIZED from None
        gone = tuple(SetCookie(name=name, value="").deleted() for name in (ACCESS_COOKIE, REFRESH_COOKIE))
        return Answer(200, LogoutAnswer(), cookies=gone)


def _cookie(name: str, token: TokenText, *, path: str = "/") -> SetCookie:
    return SetCookie(name=name, value=token.text.reveal(), max_age_seconds=token.lifetime_seconds, path=path)


def _by_cookies(*names: str) -> Credential:
    """Return the credential that the document shows; the handler reads the cookies, and says no in its own words."""
    schemes = tuple(
        (SecurityScheme(f"{name}Cookie", {"type": "apiKey", "in": "cookie", "name": name}),) for name in names
    )
    return Credential(name=" or ".join(names), resolve=NOBODY.resolve, schemes=schemes)
