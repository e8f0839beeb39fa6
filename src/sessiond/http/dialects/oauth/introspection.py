"""Token introspection (RFC 7662): what an access token means, told to the application whose session it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sessiond.domain.ids import id_text
from sessiond.domain.impersonation import act_claim
from sessiond.http.answer import Answer
from sessiond.http.counting import never
from sessiond.http.dialects.oauth.clients import Clients, client_of
from sessiond.http.endpoint import FORM, Endpoint
from sessiond.http.request import Request
from sessiond.services.bundle import Services
from sessiond.services.introspecting import Introspected


class PresentedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that somebody presented to an application. What else the form holds is ignored."""

    token: Annotated[str, Meta(min_length=1)]
    token_type_hint: Annotated[
        str, Meta(description="Not needed, and never wrong: tokens tell what they are.")
    ] = ""


class ActorClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who acts for the subject, and within it who acted before (RFC 8693 section 4.1)."""

    sub: str
    act: ActorClaim | None = None


class IntrospectionAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An active token and its session; `{"active": false}` and nothing more for any other text.

    `client_id` is the project. `iat`, `exp` and `auth_time` are Unix seconds; `iat` is left out where nothing tells
    it, `acr`, `amr` and `act` where there are none. `aud` is the service that an exchanged token is for.
    """

    active: bool
    sub: str | None = None
    sid: str | None = None
    client_id: str | None = None
    token_type: Literal["Bearer"] | None = None
    iat: int | None = None
    exp: int | None = None
    jti: str | None = None
    aud: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: Sequence[str] = ()
    act: ActorClaim | None = None


INACTIVE = IntrospectionAnswer(active=False)


class Introspection:
    """The endpoint `/oauth/introspect`."""

    def __init__(self, services: Services, clients: Clients) -> None:
        self._introspecting = services.introspecting
        self._clients = clients

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "POST",
                "/oauth/introspect",
                self.introspect,
                summary="Introspect an access token (RFC 7662)",
                description="Active are the access tokens of every API, of live sessions of the caller's project. "
                "It counts as use of the session, as a verify does.",
                tags=("oauth",),
                credential=self._clients.required,
                request=PresentedToken,
                content_types=(FORM,),
                answers={200: IntrospectionAnswer},
                counting=never,
            ),
        )

    async def introspect(self, request: Request) -> Answer:
        """Tell what the token proves, if anything."""
        client = client_of(request)
        if client is None:
            raise TypeError("the endpoint's credential promises a server key or the operator")
        found = await self._introspecting.introspect(request.body_as(PresentedToken).token, client.project)
        return Answer(200, INACTIVE if found is None else _active(found))


def _active(found: Introspected) -> IntrospectionAnswer:
    session = found.session
    return IntrospectionAnswer(
        active=True,
        sub=session.subject,
        sid=id_text(session.id),
        client_id=session.project,
        token_type="Bearer",
        iat=found.issued_at,
        exp=found.expires_at // 1000,
        jti=found.token_id,
        aud=found.audience,
        auth_time=session.authenticated_at // 1000,
        acr=session.acr,
        amr=session.amr,
        act=None if session.actor is None else msgspec.convert(act_claim(session.actor), ActorClaim),
    )
