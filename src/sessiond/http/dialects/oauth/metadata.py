"""Authorization server metadata (RFC 8414): where the OAuth endpoints are, and what they can do."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sessiond.http.answer import Answer
from sessiond.http.dialects.oauth.token_shapes import GRANTS
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services

_BASIC, _PUBLIC, _BEARER = "client_secret_basic", "none", "Bearer"
_CACHE = ("Cache-Control", "public, max-age=300")


class MetadataAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What there is. `response_types_supported` is required, and empty: there is no authorization endpoint."""

    issuer: str
    token_endpoint: str
    introspection_endpoint: str
    revocation_endpoint: str
    jwks_uri: str
    grant_types_supported: Sequence[str]
    response_types_supported: Sequence[str]
    token_endpoint_auth_methods_supported: Sequence[str]
    introspection_endpoint_auth_methods_supported: Sequence[str]
    revocation_endpoint_auth_methods_supported: Sequence[str]
    service_documentation: str


class Metadata:
    """The endpoint `/.well-known/oauth-authorization-server`."""

    def __init__(self, services: Services) -> None:
        self._answer = metadata(services.base_url)

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "GET",
                "/.well-known/oauth-authorization-server",
                self.show,
                summary="The authorization server's metadata (RFC 8414)",
                tags=("oauth",),
                answers={200: MetadataAnswer},
            ),
        )

    async def show(self, _request: Request) -> Answer:
        """Publish the metadata."""
        return Answer(200, self._answer, headers=(_CACHE,))


def metadata(base: str) -> MetadataAnswer:
    """Return the metadata of the server at *base*, which is the issuer of its JWT access tokens."""
    return MetadataAnswer(
        issuer=base,
        token_endpoint=f"{base}/oauth/token",
        introspection_endpoint=f"{base}/oauth/introspect",
        revocation_endpoint=f"{base}/oauth/revoke",
        jwks_uri=f"{base}/.well-known/jwks.json",
        grant_types_supported=GRANTS,
        response_types_supported=(),
        token_endpoint_auth_methods_supported=(_PUBLIC, _BASIC),
        introspection_endpoint_auth_methods_supported=(_BASIC, _BEARER),
        revocation_endpoint_auth_methods_supported=(_PUBLIC, _BASIC),
        service_documentation=f"{base}/docs",
    )
