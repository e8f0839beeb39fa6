"""The token endpoint (RFC 6749 section 6): how the npm client refreshes."""

from __future__ import annotations

from sessiond.domain.ids import DEFAULT_PROJECT, parse_project_id
from sessiond.domain.instants import unix_seconds
from sessiond.domain.projects import Project
from sessiond.http.answer import JSON, Answer
from sessiond.http.dialects.stack_auth import known_errors as no
from sessiond.http.dialects.stack_auth.access import MAIN_BRANCH, Accesses
from sessiond.http.dialects.stack_auth.errors import OAuthFault, schema_fault
from sessiond.http.dialects.stack_auth.own_session import refreshed
from sessiond.http.dialects.stack_auth.schema import Field, Text, one_of, read
from sessiond.http.dialects.stack_auth.shapes import TokenAnswer, TokenRequest
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_MEMBERS: dict[str, Field] = {
    "grant_type": Text(required=True, rules=[one_of("authorization_code", "refresh_token")]),
    "client_id": Text(),
    "client_secret": Text(),
    "refresh_token": Text(),
}
_UNSUPPORTED = OAuthFault("unsupported_grant_type", "This server issues tokens for refresh tokens only.")
_NO_TOKEN = OAuthFault("invalid_request", "Missing parameter: `refresh_token`")


class OAuth:
    """The endpoint `/auth/oauth/token`. Its client authenticates in the body; headers are not looked at."""

    def __init__(self, services: Services, accesses: Accesses) -> None:
        self._services = services
        self._accesses = accesses

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declarations."""
        path = "/auth/oauth/token"
        return (
            Endpoint(
                "POST",
                path,
                self.token,
                summary="Get a fresh access token (OAuth 2.0, refresh token grant)",
                aliases=(f"/api/v1{path}",),
                tags=("sessions",),
                request=TokenRequest,
                raw_json=True,
                content_types=(FORM, JSON),
                answers={200: TokenAnswer},
                refusals=(
                    schema_fault("body.grant_type must be defined"),
                    no.REFRESH_TOKEN_GONE,
                    no.INVALID_OAUTH_CLIENT,
                    no.publishable_key_required(DEFAULT_PROJECT),
                    _NO_TOKEN,
                    _UNSUPPORTED,
                ),
            ),
        )

    async def token(self, request: Request) -> Answer:
        """Answer a fresh access token; the refresh token stays, so none is sent."""
        asked = read("body", _MEMBERS, request.body, closed=False)
        project = await self._project(asked.get("client_id"))
        secret = asked.get("client_secret")
        self._accesses.require_publishable_key(
            secret if isinstance(secret, str) else None, project, wrong=no.INVALID_OAUTH_CLIENT
        )
        if asked["grant_type"] != "refresh_token":
            raise _UNSUPPORTED
        text = asked.get("refresh_token")
        if not isinstance(text, str):
            raise _NO_TOKEN
        now = request.now
        token = await refreshed(self._services, text, project.id, now=now)
        life = unix_seconds(token.expires_at - now)
        return Answer(
            200,
            TokenAnswer(access_token=token.text, expires_in=life),
            headers=(("Cache-Control", "no-store"), ("Pragma", "no-cache")),
        )

    async def _project(self, client_id: object) -> Project:
        name, _, branch = str(client_id or "").partition("#")
        identifier = parse_project_id(name)
        found = None if identifier is None else await self._services.projects.get(identifier)
        if found is None or branch not in {"", MAIN_BRANCH}:
            raise no.INVALID_OAUTH_CLIENT
        return found
