"""Token revocation (RFC 7009): the session of a token ends, whichever of its tokens it is."""

from __future__ import annotations

from sessiond.domain.ids import ProjectId
from sessiond.http.answer import Answer
from sessiond.http.counting import by_address
from sessiond.http.dialects.oauth.clients import Clients, client_of
from sessiond.http.dialects.oauth.introspection import PresentedToken
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services


class Revocation:
    """The endpoint `/oauth/revoke`."""

    def __init__(self, services: Services, clients: Clients) -> None:
        self._sessions = services.sessions
        self._limits = services.rate_limits
        self._clients = clients

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "POST",
                "/oauth/revoke",
                self.revoke,
                summary="End the session of an access or refresh token (RFC 7009)",
                description="The answer is the same for a token that means nothing here, and for one of another "
                "project than the client's. Without client authentication the token alone says what ends.",
                tags=("oauth",),
                credential=self._clients.optional,
                request=PresentedToken,
                content_types=(FORM,),
                answers={200: None},
                counting=by_address(self._revoked_in),
            ),
        )

    def _revoked_in(self, request: Request) -> ProjectId | None:
        return self._limits.project_of(request.body_as(PresentedToken).token)

    async def revoke(self, request: Request) -> Answer:
        """End the session; it is in force when the answer arrives."""
        client, text = client_of(request), request.body_as(PresentedToken).token
        if client is None:
            await self._sessions.end_presented(text, project=None, address=request.client_address)
        else:
            await self._sessions.end_presented(
                text, project=client.project, address=client.address, by=client.initiator
            )
        return Answer(200)
