"""Who may ask the vault: a user's session for itself, a server key, the operator or open public access for all."""

from __future__ import annotations

from sessiond.domain.callers import Caller
from sessiond.domain.errors import Forbidden
from sessiond.domain.sessions import INVALID
from sessiond.http.credentials import (
    BEARER_SERVER_KEY,
    BEARER_SESSION,
    COOKIE_SESSION,
    DIFFER,
    MISSING,
    PROJECT_HEADER,
    Credential,
    Credentials,
    bearer,
    public_caller,
    shows_session,
)
from sessiond.http.refusals import CrossSite
from sessiond.http.request import Request
from sessiond.services.credentials import Credentials as Callers
from sessiond.services.projects import PROJECT_UNKNOWN


def vault_credential(callers: Callers) -> Credential:
    """Return the vault's credential.

    What is presented must pass, even while public access is open: a user whose session has ended must not find itself
    with the reach of the whole project.
    """
    shared = Credentials(callers)

    async def resolve(request: Request) -> Caller | None:
        text = bearer(request)
        if text is None:
            if request.header(b"authorization") is not None:
                raise INVALID
            if shows_session(request):
                return await shared.session.resolve(request)
            return public_caller(request)
        try:
            return await callers.by_server_key(
                text, project=request.header(b"sessiond-project"), address=request.client_address
            )
        except Forbidden as refusal:  # a subject's own session
            refusal.forget_where()
            return await shared.session.resolve(request)

    return Credential(
        name="public access, server key or session",
        resolve=resolve,
        schemes=((), (BEARER_SESSION,), (COOKIE_SESSION,), (BEARER_SERVER_KEY,)),
        headers=PROJECT_HEADER,
        refusals=(MISSING, INVALID, DIFFER, PROJECT_UNKNOWN, CrossSite()),
    )
