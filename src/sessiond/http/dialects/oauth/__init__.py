"""OAuth 2.0 for applications that speak it: introspection, revocation, refresh, exchange, and their metadata."""

from __future__ import annotations

from sessiond.http.answer import JSON
from sessiond.http.credentials import Credentials
from sessiond.http.dialect import Dialect, RefusalMedia
from sessiond.http.dialects.oauth.clients import Clients
from sessiond.http.dialects.oauth.errors import ErrorAnswer, refuse
from sessiond.http.dialects.oauth.introspection import Introspection
from sessiond.http.dialects.oauth.metadata import Metadata
from sessiond.http.dialects.oauth.revocation import Revocation
from sessiond.http.dialects.oauth.token import TokenEndpoint
from sessiond.http.edge import Edge
from sessiond.services.bundle import Services


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the OAuth dialect over *services*."""
    clients = Clients(services.credentials, Credentials(services.credentials))
    return Dialect(
        name="oauth",
        title="OAuth 2.0 (introspection, revocation, refresh, exchange, metadata)",
        endpoints=(
            *Introspection(services, clients).endpoints(),
            *Revocation(services, clients).endpoints(),
            *TokenEndpoint(services, clients).endpoints(),
            *Metadata(services).endpoints(),
        ),
        refuse=refuse,
        refusal_media=(RefusalMedia(content_type=JSON, type=ErrorAnswer),),
        prefixes=("/oauth", "/.well-known/oauth-authorization-server"),
    )
