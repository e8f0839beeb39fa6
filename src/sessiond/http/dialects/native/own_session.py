"""A session's own paths: show it, refresh it, end it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import msgspec

from sessiond.domain.callers import Caller, OperatorCaller, SubjectCaller
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId, SessionId
from sessiond.domain.sessions import INVALID, Session
from sessiond.http.answer import JSON, Answer
from sessiond.http.counting import by_address
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.my_sessions import initiator
from sessiond.http.dialects.native.requirements import SAMPLE_SHORTFALL, RequireQuery, require
from sessiond.http.dialects.native.shapes import (
    RefreshSession,
    SessionAnswer,
    TokensAnswer,
    view,
)
from sessiond.http.dialects.native.token_answers import signed_out, tokens_of
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.credentials import caller_of
from sessiond.services.sessions import SUPERSEDED_REFRESH
from sessiond.services.token_forms import Form
from sessiond.services.tokens import WRONG_KIND

_KEPT_BODIES = 10_000
"""Half a kilobyte each: what is asked about again and again has its place, and memory stays bounded."""


class OwnSession:
    """The singular paths: the session is the one whose credential is presented."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._credentials = credentials
        self._bodies: dict[SessionId, tuple[Session, bytes]] = {}

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        own, tags = self._credentials.session, ("session",)
        return (
            Endpoint(
                "GET",
                "/v1/session",
                self.show,
                summary="Verify: show the session of the presented credential",
                tags=tags,
                credential=own,
                query=RequireQuery,
                answers={200: SessionAnswer},
                refusals=(WRONG_KIND, SAMPLE_SHORTFALL),
                instant=self.show_at_once,
            ),
            Endpoint(
                "DELETE",
                "/v1/session",
                self.end,
                summary="Sign out: end the session of the presented credential",
                description="With a browser's cookie its other accounts are signed out, too: no cookie leads to "
                "them any more. Over https the browser is told to forget what it keeps of this site (Clear-Site-Data).",
                tags=tags,
                credential=own,
                answers={204: None},
            ),
            Endpoint(
                "POST",
                "/v1/session/refresh",
                self.refresh,
                summary="Get the next tokens for a refresh token",
                tags=tags,
                request=RefreshSession,
                answers={200: TokensAnswer},
                refusals=(INVALID, SUPERSEDED_REFRESH),
                counting=by_address(self._refreshed_in),
            ),
        )

    async def show(self, request: Request) -> Answer:
        """Show the session."""
        session = session_of(request.caller)
        require(session, request)
        return Answer(200, self._body(session), content_type=JSON)

    def show_at_once(self, request: Request) -> bytes | Coroutine[Any, Any, bytes]:
        """Answer from memory where that is as strict as a read, else with a read."""
        session = peeked(self._services, request)
        return self._read(request) if session is None else self._body(session)

    async def _read(self, request: Request) -> bytes:
        request.caller = await self._credentials.session.resolve(request)
        return self._body(session_of(request.caller))

    def _body(self, session: Session) -> bytes:
        kept = self._bodies.get(session.id)
        if kept is not None and kept[0] is session:
            return kept[1]
        if len(self._bodies) >= _KEPT_BODIES:
            self._bodies.clear()
        body = msgspec.json.encode(SessionAnswer(session=view(session)))
        self._bodies[session.id] = (session, body)
        return body

    async def end(self, request: Request) -> Answer:
        """End the session, and with its cookie the other accounts of the browser."""
        session = session_of(request.caller)
        await self._services.accounts.sign_out(session, reason="signed_out", by=initiator(request))
        return signed_out(request)

    def _refreshed_in(self, request: Request) -> ProjectId | None:
        return self._services.rate_limits.project_of(request.body_as(RefreshSession).refresh_token)

    async def refresh(self, request: Request) -> Answer:
        """Rotate, or repeat the last rotation's answer within the grace."""
        text = request.body_as(RefreshSession).refresh_token
        standing = await self._services.sessions.refresh(text, Form.REFRESH, address=request.client_address)
        policy = self._services.sessions.policy_of(standing)
        return Answer(200, await tokens_of(self._services, standing.session, policy, now=request.now))


def peeked(services: Services, request: Request) -> Session | None:
    """Return the session of a bearer access token; None where there is a cookie to compare with, or any doubt."""
    text = None if request.has_cookies else request.head.bearer
    verified = None if text is None else services.sessions.peek(text)
    if verified is None:
        return None
    request.caller = caller_of(verified, by_cookie=False, address=None)
    return verified.standing.session


def session_of(caller: Caller | None) -> Session:
    """Return the session that the caller's own credential is about."""
    if isinstance(caller, SubjectCaller | OperatorCaller) and caller.standing is not None:
        return caller.standing.session
    raise Unauthenticated("session_required", "This needs a session's own credential.")
