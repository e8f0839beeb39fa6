"""Issuing by the native API: one way for whoever signs in and whoever impersonates."""

from __future__ import annotations

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.errors import InvalidRequest
from sessiond.domain.sessions import SessionKind
from sessiond.http.answer import Answer
from sessiond.http.dialects.native.creating import SessionMembers
from sessiond.http.dialects.native.token_answers import cookie_name, created
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.footing import Foreseen
from sessiond.services.impersonating import Asked
from sessiond.services.orders import Order

_BROWSER = SessionKind.BROWSER
INVALID_FORMAT = InvalidRequest("invalid_format", "A session delivered as a cookie has no access token.")


class NativeIssuing:
    """Issues what a body asks for, and answers with its tokens or its cookie."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def issue(
        self,
        request: Request,
        caller: ServerCaller | OperatorCaller,
        asked: SessionMembers,
        order: Order,
        acting: Asked | None,
    ) -> Answer:
        """Issue the session of *order*; with *acting* an impersonation."""
        by_cookie = order.session_kind is _BROWSER
        if by_cookie:
            if asked.format == "jwt":
                raise INVALID_FORMAT
            cookie_name(request)
        if acting is not None:
            order = await self._services.impersonating.order(caller, order, acting)
        if by_cookie:
            issued = await self._services.accounts.sign_in(order, asked.browser)
        else:
            foreseen = request.context if isinstance(request.context, Foreseen) else None
            issued = await self._services.issuing.issue(order, foreseen)
        return await created(self._services, request, issued.session, issued.policy)
