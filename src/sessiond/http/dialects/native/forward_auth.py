"""The answer for proxies that ask before they forward: who it is, in headers that are always there."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal
from urllib.parse import quote

from msgspec import Meta

from sessiond.domain.callers import Caller
from sessiond.domain.errors import Unauthenticated
from sessiond.domain.ids import id_text
from sessiond.domain.instants import rfc3339
from sessiond.domain.sessions import INVALID, Session
from sessiond.http.answer import Answer
from sessiond.http.credentials import Credentials
from sessiond.http.dialects.native.own_session import peeked, session_of
from sessiond.http.dialects.native.requirements import SAMPLE_SHORTFALL, RequireQuery, refuse, require
from sessiond.http.endpoint import Endpoint
from sessiond.http.request import Request
from sessiond.http.wire import refused
from sessiond.services.bundle import Services

_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class VerifyQuery(RequireQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the proxy asks for: 401 where the session is not of the project."""

    project: Annotated[
        Annotated[str, Meta(pattern=_UUID)] | None,
        Meta(description="The id of the project whose sessions count; without it those of every project do."),
    ] = None
    login: Annotated[
        Literal["redirect", "header"],
        Meta(
            description="How a browser that asks for a page is sent to `login_url`: with 302, or in `Location` of the "
            "401, for proxies that pass on no other status."
        ),
    ] = "redirect"


class ForwardAuth:
    """`GET /v1/verify`, for a reverse proxy that asks about each request before it forwards it."""

    def __init__(self, services: Services, credentials: Credentials) -> None:
        self._services = services
        self._session = credentials.session

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the declaration."""
        return (
            Endpoint(
                "GET",
                "/v1/verify",
                self.verify,
                summary="Verify for a reverse proxy: identity in headers, no body",
                description="`X-Session-Id`, `-Subject`, `-Project`, `-Kind`, `-Acr`, `-Amr`, `-Actor`, "
                "`-Authenticated-At` and `-Expires-At` are there in every 200, empty where there is nothing to say; "
                "texts are percent-encoded. A browser that asks for a page without a session is sent to `login_url` "
                "where one is set.",
                tags=("session",),
                credential=dataclasses.replace(self._session, resolve=self._own_or_nobody),
                query=VerifyQuery,
                answers={200: None, 302: None},
                refusals=(INVALID, SAMPLE_SHORTFALL),
                instant=self.verify_at_once,
            ),
        )

    def verify_at_once(self, request: Request) -> Answer | None:
        """Tell a proxy from memory where that is as strict as a read."""
        session = peeked(self._services, request)
        return None if session is None else _identity(session)

    async def _own_or_nobody(self, request: Request) -> Caller | None:
        """Return who asks, or None and leave the refusal: whether a browser is to sign in is known from the query."""
        try:
            return await self._session.resolve(request)
        except Unauthenticated as refusal:
            refusal.forget_where()
            request.context = refusal
            return None

    async def verify(self, request: Request) -> Answer:
        """Tell a proxy who asks, or send a browser to sign in."""
        try:
            session = _admitted(request)
        except Unauthenticated as refusal:
            page = request.edge.login_page
            if page is None or not _wants_page(request):
                raise
            refusal.forget_where()
            location = ("Location", page.location(request))
            if request.query_as(VerifyQuery).login == "header":
                return refused(refuse(refusal, request).with_headers(location), refusal)
            return Answer(302, headers=(location,))
        require(session, request)
        return _identity(session)


def _admitted(request: Request) -> Session:
    if isinstance(request.context, Unauthenticated):
        raise request.context
    session, project = session_of(request.caller), request.query_as(VerifyQuery).project
    if project not in {None, session.project}:
        raise INVALID
    return session


def _identity(session: Session) -> Answer:
    """Return all headers, empty ones too: a proxy that copies them leaves nothing of what a client sent."""
    actor = session.actor
    acting = "" if actor is None else actor.subject or actor.name
    return Answer(
        200,
        headers=(
            ("X-Session-Id", id_text(session.id)),
            ("X-Session-Subject", _encoded(session.subject)),
            ("X-Session-Project", session.project),
            ("X-Session-Kind", session.session_kind.value),
            ("X-Session-Acr", _encoded(session.acr or "")),
            ("X-Session-Amr", " ".join(map(_encoded, session.amr))),
            ("X-Session-Actor", _encoded(acting)),
            ("X-Session-Authenticated-At", rfc3339(session.authenticated_at)),
            ("X-Session-Expires-At", rfc3339(session.expires_at)),
        ),
    )


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _wants_page(request: Request) -> bool:
    """Tell whether a person would see the answer: by `Sec-Fetch-Mode` (Fetch Metadata) where it is said."""
    modes = request.headers(b"sec-fetch-mode")
    return modes in {(), ("navigate",)} and any(
        "text/html" in accept for accept in request.headers(b"accept")
    )
