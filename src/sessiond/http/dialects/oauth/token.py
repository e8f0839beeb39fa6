"""The token endpoint: the next tokens for a refresh token (RFC 6749 section 6), by the rules of the native refresh.

Its clients are public: a refresh token is a secret of its own and rotates, so that nothing else is asked for. A client
that authenticates all the same must pass, and gets on with refresh tokens of its own project only.
"""

from __future__ import annotations

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId
from sessiond.domain.sessions import INVALID, Standing
from sessiond.http.answer import Answer
from sessiond.http.counting import by_address
from sessiond.http.dialects.oauth.clients import Clients, client_of
from sessiond.http.dialects.oauth.errors import OAuthRefusal, invalid_grant
from sessiond.http.dialects.oauth.exchange import EXCHANGE_REFUSALS, Exchange
from sessiond.http.dialects.oauth.token_shapes import (
    EXCHANGE_GRANT,
    GRANTS,
    REFRESH_GRANT,
    TokenAnswer,
    TokenRequest,
)
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.refusals import Fault, InvalidMembers
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.sessions import SUPERSEDED_REFRESH
from sessiond.services.token_forms import Form
from sessiond.services.tokens import WRONG_KIND

_UNSUPPORTED = OAuthRefusal("unsupported_grant_type", f"The grant types here are: {', '.join(GRANTS)}.")
_NO_TOKEN = InvalidMembers((Fault("/refresh_token", "is required"),))
_NO_SCOPES = OAuthRefusal("invalid_scope", "Sessions have no scopes: leave the parameter out.")
_NO_CACHE = ("Pragma", "no-cache")


class TokenEndpoint:
    """The endpoint `/oauth/token`."""

    def __init__(self, services: Services, clients: Clients) -> None:
        self._services = services
        self._clients = clients
        self._exchange = Exchange(services)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        grants = (INVALID, WRONG_KIND, SUPERSEDED_REFRESH)
        return (
            Endpoint(
                "POST",
                "/oauth/token",
                self.token,
                summary="Get the next tokens for a refresh token, or a token for another service",
                description=f"`{REFRESH_GRANT}` (RFC 6749 section 6) is the same as `POST /v1/session/refresh`; it "
                "needs no client authentication, for the refresh token is the credential. "
                f"`{EXCHANGE_GRANT}` (RFC 8693) needs a server key.",
                tags=("oauth",),
                credential=self._clients.optional,
                request=TokenRequest,
                content_types=(FORM,),
                answers={200: TokenAnswer},
                counting=by_address(self._refreshed_in),
                refusals=(
                    _UNSUPPORTED,
                    _NO_TOKEN,
                    _NO_SCOPES,
                    *map(invalid_grant, grants),
                    *EXCHANGE_REFUSALS,
                ),
            ),
        )

    def _refreshed_in(self, request: Request) -> ProjectId | None:
        return self._services.rate_limits.project_of(request.body_as(TokenRequest).refresh_token)

    async def token(self, request: Request) -> Answer:
        """Answer by the grant type."""
        asked, client = request.body_as(TokenRequest), client_of(request)
        if asked.grant_type not in GRANTS:
            raise _UNSUPPORTED
        if asked.scope:
            raise _NO_SCOPES
        if asked.grant_type == EXCHANGE_GRANT:
            answer = await self._exchange.answer(asked, client)
        else:
            answer = await self._next_tokens(asked, client, request)
        return Answer(200, answer, headers=(_NO_CACHE,))

    async def _next_tokens(
        self, asked: TokenRequest, client: ServerCaller | OperatorCaller | None, request: Request
    ) -> TokenAnswer:
        """Rotate, or repeat the last rotation's answer within the grace."""
        if not asked.refresh_token:
            raise _NO_TOKEN
        projects = {ProjectId(asked.client_id)} if asked.client_id else set()
        projects |= {client.project} if client is not None else set()
        standing = await self._refreshed(asked.refresh_token, projects, request.client_address)
        policy = self._services.sessions.policy_of(standing)
        minted = await self._services.native_tokens.mint(standing.session, policy, now=request.now)
        return TokenAnswer(
            access_token=minted.access_token,
            token_type="Bearer",
            expires_in=minted.expires_in,
            refresh_token=minted.refresh_token,
            refresh_after=minted.refresh_after,
        )

    async def _refreshed(self, text: str, projects: set[ProjectId], address: str) -> Standing:
        """Return the session after its refresh; *projects* are those that the token must be of, each of them."""
        sessions = self._services.sessions
        try:
            if projects:
                presented = await sessions.recognise(text)
                if projects != {presented.project}:
                    raise INVALID
            return await sessions.refresh(text, Form.REFRESH, address=address)
        except Unauthenticated as refusal:
            refusal.forget_where()
            raise invalid_grant(refusal) from None
