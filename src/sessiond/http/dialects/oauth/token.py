"""The token endpoint (RFC 6749 section 6): the next tokens for a refresh token, by the rules of the native refresh.

Clients are public: a refresh token is a secret of its own and rotates, so that nothing else is asked for. A client that
authenticates all the same must pass, and gets on with refresh tokens of its own project only.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import ProjectId
from sessiond.domain.sessions import INVALID, Standing
from sessiond.http.answer import Answer
from sessiond.http.dialects.oauth.clients import Clients, client_of
from sessiond.http.dialects.oauth.errors import OAuthRefusal, invalid_grant
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.refusals import Fault, InvalidMembers
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.native_tokens import mint_native
from sessiond.services.sessions import SUPERSEDED_REFRESH
from sessiond.services.token_forms import Form
from sessiond.services.tokens import WRONG_KIND

REFRESH_GRANT = "refresh_token"
GRANTS = (REFRESH_GRANT,)

_UNSUPPORTED = OAuthRefusal("unsupported_grant_type", f"The grant types here are: {', '.join(GRANTS)}.")
_NO_TOKEN = InvalidMembers((Fault("/refresh_token", "is required"),))
_NO_SCOPES = OAuthRefusal("invalid_scope", "Sessions have no scopes: leave the parameter out.")
_NO_CACHE = ("Pragma", "no-cache")


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens are asked for with. An empty parameter counts as none, an unknown one is ignored."""

    grant_type: Annotated[str, Meta(min_length=1, description="`refresh_token`.")]
    refresh_token: str = ""
    client_id: Annotated[str, Meta(description="The project's id, where a client must send one.")] = ""
    scope: Annotated[str, Meta(description="None can be asked for: there are no scopes.")] = ""


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The next tokens (RFC 6749 section 5.1). The refresh token replaces the one that was sent."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_token: str


class TokenEndpoint:
    """The endpoint `/oauth/token`."""

    def __init__(self, services: Services, clients: Clients) -> None:
        self._services = services
        self._clients = clients

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        grants = (INVALID, WRONG_KIND, SUPERSEDED_REFRESH)
        return (
            Endpoint(
                "POST",
                "/oauth/token",
                self.token,
                summary="Get the next tokens for a refresh token (RFC 6749 section 6)",
                description="The same as `POST /v1/session/refresh`, as OAuth clients ask for it. No client "
                "authentication is needed: the refresh token is the credential.",
                tags=("oauth",),
                credential=self._clients.optional,
                request=TokenRequest,
                content_types=(FORM,),
                answers={200: TokenAnswer},
                refusals=(_UNSUPPORTED, _NO_TOKEN, _NO_SCOPES, *map(invalid_grant, grants)),
            ),
        )

    async def token(self, request: Request) -> Answer:
        """Rotate, or repeat the last rotation's answer within the grace."""
        asked = request.body_as(TokenRequest)
        if asked.grant_type not in GRANTS:
            raise _UNSUPPORTED
        if not asked.refresh_token:
            raise _NO_TOKEN
        if asked.scope:
            raise _NO_SCOPES
        client = client_of(request)
        projects = {ProjectId(asked.client_id)} if asked.client_id else set()
        projects |= {client.project} if client is not None else set()
        standing = await self._refreshed(asked.refresh_token, projects)
        policy = self._services.sessions.policy_of(standing)
        minted = mint_native(self._services.tokens, standing.session, policy, now=request.now)
        answer = TokenAnswer(
            access_token=minted.access_token,
            expires_in=minted.expires_in,
            refresh_token=minted.refresh_token,
        )
        return Answer(200, answer, headers=(_NO_CACHE,))

    async def _refreshed(self, text: str, projects: set[ProjectId]) -> Standing:
        """Return the session after its refresh; *projects* are those that the token must be of, each of them."""
        sessions = self._services.sessions
        try:
            if projects:
                presented = await sessions.recognise(text)
                if projects != {presented.project}:
                    raise INVALID
            return await sessions.refresh(text, Form.REFRESH)
        except Unauthenticated as refusal:
            refusal.forget_where()
            raise invalid_grant(refusal) from None
