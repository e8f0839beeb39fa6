"""Dialect: sessions for a user, and impersonation (Stack Auth, now Hexclave); its npm client works unchanged.

Every `/auth/…` path answers bare, as the original's document prints it, and below `/api/v1`, as its clients ask.
"""

from __future__ import annotations

from sessiond.http.dialect import Dialect
from sessiond.http.dialects.stack_auth.access import Accesses
from sessiond.http.dialects.stack_auth.envelope import decorate
from sessiond.http.dialects.stack_auth.errors import REFUSAL_MEDIA, refuse
from sessiond.http.dialects.stack_auth.headers import CORS
from sessiond.http.dialects.stack_auth.jwks import Jwks
from sessiond.http.dialects.stack_auth.oauth import OAuth
from sessiond.http.dialects.stack_auth.own_session import OwnSession
from sessiond.http.dialects.stack_auth.sessions import UserSessions
from sessiond.http.dialects.stack_auth.users import Users
from sessiond.http.edge import Edge
from sessiond.services.bundle import Services


def dialect(services: Services, _edge: Edge) -> Dialect:
    """Return the Stack Auth dialect over *services*."""
    accesses = Accesses(services)
    return Dialect(
        name="stack_auth",
        title="Sessions for a user, and impersonation (Stack Auth)",
        endpoints=(
            *UserSessions(services, accesses).endpoints(),
            *OwnSession(services, accesses).endpoints(),
            *OAuth(services, accesses).endpoints(),
            *Users(services, accesses).endpoints(),
            *Jwks(services).endpoints(),
        ),
        refuse=refuse,
        refusal_media=REFUSAL_MEDIA,
        prefixes=(
            "/auth/sessions",
            "/auth/oauth",
            "/auth/anonymous",
            "/api/v1/auth",
            "/api/v1/users",
            "/api/v1/projects",
            "/api/v1/projects-restricted-users",
            "/api/v1/projects-anonymous-users",
        ),
        cors=CORS,
        decorate=decorate,
        body_before_credential=True,
    )
