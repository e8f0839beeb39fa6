"""Dialect: a master token for a session token (PocketPaw), so that a browser need not hold the master token.

Every path also answers under `/api/v1`. The session is an operator's: it opens what the master token opens, but
cannot replace the master token and cannot open another session.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

from sessiond.domain.addresses import network_of
from sessiond.domain.callers import OperatorCaller
from sessiond.domain.errors import Refusal, Throttled, Unauthenticated
from sessiond.domain.sessions import INVALID, Client
from sessiond.http.answer import JSON, Answer
from sessiond.http.cookies import SetCookie
from sessiond.http.credentials import BEARER_MASTER, MISSING, Credential, bearer
from sessiond.http.dialect import Dialect, RefusalMedia
from sessiond.http.edge import Edge
from sessiond.http.endpoint import Endpoint
from sessiond.http.refusals import MalformedBody, MethodNotAllowed, UnknownPath, status_of
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.credentials import NOT_MASTER, caller_of
from sessiond.services.throttle import Allowance
from sessiond.services.token_forms import Form

COOKIE = "pocketpaw_session"
BURST = 5
PER_SECOND = 1.0

_WRONG_TOKEN = Unauthenticated("invalid_access_token", "Invalid access token")
_TAGS = ("pocketpaw",)
_THROTTLED = Throttled("too_many_requests", "Too many requests", retry_after_seconds=1)
_DETAILS: tuple[tuple[type[Refusal], str], ...] = (
    (MethodNotAllowed, "Method Not Allowed"),
    (UnknownPath, "Not Found"),
    (MalformedBody, "Invalid JSON body"),
)


class SessionTokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An operator session's token."""

    session_token: str
    expires_in_hours: int


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The master token, as a page sends it."""

    token: str


class OkAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Done."""

    ok: Literal[True] = True


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The new master token; every session of the former one has ended."""

    token: str


class DetailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How this dialect says no."""

    detail: str


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the PocketPaw dialect over *services*."""
    return Dialect(
        name="pocketpaw",
        title="Master token to session token (PocketPaw)",
        endpoints=PocketPaw(services).endpoints(),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=DetailAnswer),),
        prefixes=("/api/auth", "/api/token", "/api/v1/token"),
    )


def refuse(refusal: Refusal, _request: Request | None) -> Answer:
    """Return `{"detail": …}` with the original's words where it has some."""
    detail = next((words for kind, words in _DETAILS if isinstance(refusal, kind)), refusal.detail)
    if refusal.code == NOT_MASTER.code:
        detail = "Invalid master token"
    elif isinstance(refusal, Unauthenticated) and refusal.code != _WRONG_TOKEN.code:
        detail = "Unauthorized"
    answer = Answer(status_of(refusal), DetailAnswer(detail=detail))
    if isinstance(refusal, Throttled):
        return answer.with_headers(
            *((f"X-RateLimit-{name.title()}", str(value)) for name, value in refusal.data.items())
        )
    return answer


class PocketPaw:
    """The dialect's operations."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._exchanges = Allowance(services.clock, burst=BURST, per_second=PER_SECOND)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        return (self._exchanging(), *self._browsers(), self._regenerating())

    def _exchanging(self) -> Endpoint:
        return Endpoint(
            "POST",
            "/api/auth/session",
            self.exchange,
            aliases=("/api/v1/auth/session",),
            summary="Exchange the master token for a session token",
            tags=_TAGS,
            credential=self._master("master token, throttled", throttled=True),
            answers={200: SessionTokenAnswer},
            refusals=(_THROTTLED,),
        )

    def _browsers(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                "POST",
                "/api/auth/login",
                self.login,
                aliases=("/api/v1/auth/login",),
                summary="Sign a browser in with the master token",
                tags=_TAGS,
                request=LoginRequest,
                answers={200: OkAnswer},
                refusals=(_WRONG_TOKEN,),
                same_origin=True,
            ),
            Endpoint(
                "POST",
                "/api/auth/logout",
                self.logout,
                aliases=("/api/v1/auth/logout",),
                summary="Sign the browser out: the session ends and the cookie is deleted",
                tags=_TAGS,
                answers={200: OkAnswer},
                same_origin=True,
            ),
        )

    def _regenerating(self) -> Endpoint:
        return Endpoint(
            "POST",
            "/api/token/regenerate",
            self.regenerate,
            aliases=("/api/v1/token/regenerate",),
            summary="Replace the master token; every operator session ends",
            tags=_TAGS,
            credential=self._master("master token", throttled=False),
            answers={200: TokenAnswer},
        )

    def _master(self, name: str, *, throttled: bool) -> Credential:
        async def resolve(request: Request) -> OperatorCaller:
            if throttled:
                self._exchanges.take(network_of(request.client_address))
            text = bearer(request)
            if text is None:
                raise MISSING
            return await self._services.credentials.by_master_token(
                text, project=None, address=request.client_address
            )

        return Credential(
            name=name,
            resolve=resolve,
            schemes=((BEARER_MASTER,),),
            refusals=(MISSING, INVALID, NOT_MASTER),
        )

    async def exchange(self, request: Request) -> Answer:
        """Open an operator session for a client that shows the master token."""
        session, token = await self._services.operators.open_session(_client(request))
        lifetime = timedelta(milliseconds=session.expires_at - session.created_at)
        hours = lifetime // timedelta(hours=1)
        return Answer(200, SessionTokenAnswer(session_token=token.reveal(), expires_in_hours=hours))

    async def login(self, request: Request) -> Answer:
        """Open an operator session and put its token into the browser's cookie."""
        if not await self._services.credentials.is_master(request.body_as(LoginRequest).token):
            raise _WRONG_TOKEN
        session, token = await self._services.operators.open_session(_client(request))
        lifetime = (session.expires_at - session.created_at) // 1000
        return Answer(200, OkAnswer(), cookies=(_cookie(token.reveal(), lifetime),))

    async def logout(self, request: Request) -> Answer:
        """End the session that the cookie (or the bearer token) shows; none is no error."""
        for text in (bearer(request), request.cookie(COOKIE)):
            if text is not None:
                await self._end(text, request.client_address)
        return Answer(200, OkAnswer(), cookies=(_cookie("", 0).deleted(),))

    async def _end(self, text: str, address: str) -> None:
        try:
            verified = await self._services.sessions.verify(text, frozenset({Form.OPERATOR}))
        except Unauthenticated as refusal:
            refusal.forget_where()
            return
        by = caller_of(verified, by_cookie=False, address=address).initiator
        await self._services.sessions.revoke(verified.session, reason="signed_out", by=by)

    async def regenerate(self, request: Request) -> Answer:
        """Replace the master token and answer the new one, once."""
        operator = request.caller
        if not isinstance(operator, OperatorCaller):
            raise NOT_MASTER
        token = await self._services.operators.rotate_master_token(by=operator.initiator)
        return Answer(200, TokenAnswer(token=token.reveal()))


def _client(request: Request) -> Client:
    return Client(address=request.client_address, user_agent=request.user_agent)


def _cookie(value: str, max_age_seconds: int) -> SetCookie:
    return SetCookie(name=COOKIE, value=value, max_age_seconds=max_age_seconds)
