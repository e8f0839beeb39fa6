"""Credentials: how a request shows who asks, and what of that stands in the OpenAPI document.

Who stands behind a text is the services' to say (`Callers`); where a request carries it, and which of several counts,
is said here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from sessiond.domain.callers import PUBLIC, Caller, OperatorCaller, ServerCaller, SubjectCaller
from sessiond.domain.errors import InvalidRequest, Refusal, Unauthenticated
from sessiond.domain.ids import SubjectId
from sessiond.domain.sessions import INVALID
from sessiond.http.refusals import CrossSite
from sessiond.http.request import Request
from sessiond.services.credentials import SERVER_KEY_REQUIRED
from sessiond.services.footing import Foreseen
from sessiond.services.projects import PROJECT_UNKNOWN

MISSING = Unauthenticated("credential_required", "Present a credential.")
"""There is none at all."""

DIFFER = InvalidRequest(
    "credentials_differ", "The Authorization header and the session cookies name different sessions."
)

DIALECT_COOKIES = ("pocketpaw_session", "accessToken")
"""The dialects' cookies that may show a session, in the order in which they count after the session cookie."""


@dataclass(frozen=True, slots=True)
class SecurityScheme:
    """One entry of the OpenAPI document's `securitySchemes`."""

    name: str
    document: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What an endpoint asks for.

    *schemes* are alternatives, each the schemes needed together; an empty one says that none is needed. *headers* are
    request headers that count besides, by name, with what they say. *refusals* are samples of what *resolve* raises.
    """

    name: str
    resolve: Callable[[Request], Awaitable[Caller | None]]
    schemes: Sequence[Sequence[SecurityScheme]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: Sequence[Refusal] = ()


async def _nobody(_request: Request) -> None:
    return None


NOBODY = Credential(name="none", resolve=_nobody)
"""Anyone may ask, and nobody is told apart."""

PROJECT_HEADER = {
    "Sessiond-Project": "The project that the operator means, by name or id. Without it, the default one."
}
"""Counts for whoever presents the master token or an operator session."""

BEARER_SERVER_KEY = SecurityScheme(
    "serverKey", {"type": "http", "scheme": "bearer", "description": "An application's server key."}
)
BEARER_SESSION = SecurityScheme(
    "accessToken", {"type": "http", "scheme": "bearer", "description": "A session's access token."}
)
BEARER_MASTER = SecurityScheme(
    "masterToken", {"type": "http", "scheme": "bearer", "description": "The operator's master token."}
)
COOKIE_SESSION = SecurityScheme(
    "sessionCookie",
    {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-sid",
        "description": "The session cookie (`sid` on plain http, `__Host-Http-sid` where that is set).",
    },
)


def bearer(request: Request) -> str | None:
    """Return the text after `Authorization: Bearer` (any case, RFC 9110 section 11.1), or None without one.

    Another scheme counts as none. Raises `INVALID` for a text that is empty, not visible ASCII, or too long.
    """
    text = request.head.bearer
    if text is None and (request.header(b"authorization") or "").partition(" ")[0].lower() == "bearer":
        raise INVALID
    return text


class Callers(Protocol):
    """Who stands behind a text. Each method raises `Unauthenticated` for one that does not pass."""

    async def by_server_key(
        self, text: str, *, project: str | None, address: str | None, foreseen: Foreseen | None = None
    ) -> ServerCaller | OperatorCaller:
        """Return the application of a server key; or the operator, by the master token or an operator session.

        *project* is what `Sessiond-Project` says; it counts for the operator only. *address* is the client's. What is
        *foreseen* is read with a server key, where it can be.
        """
        ...

    async def by_access_token(
        self, text: str, *, by_cookie: bool, address: str | None
    ) -> SubjectCaller | OperatorCaller:
        """Return whom an access token, or the value of a session cookie, is about; any dialect's."""
        ...

    async def by_master_token(self, text: str, *, project: str | None, address: str | None) -> OperatorCaller:
        """Return the operator, by the master token itself and nothing else."""
        ...


class Credentials:
    """The credentials that dialects share, over one set of callers."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        wrong: tuple[Refusal, ...] = (MISSING, INVALID)
        managing = (*wrong, SERVER_KEY_REQUIRED, PROJECT_UNKNOWN)
        key, session = (BEARER_SERVER_KEY,), (BEARER_SESSION,)
        self.server_key = Credential(
            name="server key",
            resolve=self._server_key,
            schemes=(key,),
            headers=PROJECT_HEADER,
            refusals=managing,
        )
        self.master = Credential(
            name="master token",
            resolve=self._master,
            schemes=((BEARER_MASTER,),),
            headers=PROJECT_HEADER,
            refusals=(*wrong, PROJECT_UNKNOWN),
        )
        self.session = Credential(
            name="session",
            resolve=self._session,
            schemes=(session, (COOKIE_SESSION,)),
            refusals=(*wrong, DIFFER, CrossSite()),
        )
        self.public_or_server_key = Credential(
            name="public access or server key",
            resolve=self._public_or_server_key,
            schemes=((), key),
            headers=PROJECT_HEADER,
            refusals=(*managing, CrossSite()),
        )
        self.public_first = Credential(
            name="public access, else server key",
            resolve=self._public_first,
            schemes=((), key),
            headers=PROJECT_HEADER,
            refusals=(*managing, CrossSite()),
        )

    def server_key_foreseeing(self, subject_of: Callable[[bytes], SubjectId | None]) -> Credential:
        """Return the server key for an endpoint that issues a session for whom *subject_of* finds in a body.

        It looks at bodies that nobody has checked yet, only to know what to read with the key: a `Foreseen` is the
        request's context then.
        """

        async def resolve(request: Request) -> Caller:
            subject = None if request.whole_body is None else subject_of(request.whole_body)
            foreseen = request.context = None if subject is None else Foreseen(subject)
            return await self._server_key(request, foreseen)

        return dataclasses.replace(self.server_key, resolve=resolve)

    async def _server_key(self, request: Request, foreseen: Foreseen | None = None) -> Caller:
        text = bearer(request)
        if text is None:
            raise MISSING
        project, address = request.header(b"sessiond-project"), request.client_address
        return await self._callers.by_server_key(text, project=project, address=address, foreseen=foreseen)

    async def _master(self, request: Request) -> Caller:
        text = bearer(request)
        if text is None:
            raise MISSING
        return await self._callers.by_master_token(
            text, project=request.header(b"sessiond-project"), address=request.client_address
        )

    async def _public_or_server_key(self, request: Request) -> Caller:
        """Return the public caller, unless a key is presented: that must pass, even while public access is open."""
        return public_caller(request) if bearer(request) is None else await self._server_key(request)

    async def _public_first(self, request: Request) -> Caller:
        """Return the public caller while public access is open: an `Authorization` header is ignored then."""
        if request.edge.why_closed(request) is None or request.header(b"authorization") is None:
            return public_caller(request)
        return await self._server_key(request)

    async def _session(self, request: Request) -> Caller:
        text = bearer(request)
        if text is None:
            return await self._by_cookie(request)
        caller = await self._callers.by_access_token(text, by_cookie=False, address=request.client_address)
        return await self._agreed(caller, session_cookies(request)) if request.has_cookies else caller

    async def _by_cookie(self, request: Request) -> Caller:
        shown = session_cookies(request) or _dialect_cookie(request)
        if not shown:
            raise MISSING
        caller = await self._callers.by_access_token(shown[0], by_cookie=True, address=request.client_address)
        return await self._agreed(caller, shown[1:])

    async def _agreed(self, caller: Caller, cookies: Sequence[str]) -> Caller:
        """Return the caller unless one of *cookies* shows another session."""
        for cookie in cookies:
            if await self._differs(caller, cookie):
                raise DIFFER
        return caller

    async def _differs(self, caller: Caller, cookie: str) -> bool:
        """Tell whether the cookie shows another session; one that no longer passes says nothing."""
        try:
            other = await self._callers.by_access_token(cookie, by_cookie=True, address=None)
        except Unauthenticated as refusal:
            refusal.forget_where()
            return False
        return _session_of(caller) != _session_of(other)


def public_caller(request: Request) -> ServerCaller:
    """Return the caller of an open public endpoint.

    Raises `CrossSite` for a page that is not ours, and `Unauthenticated` (`public_access_closed`) where public access
    is closed for this request.
    """
    why = request.edge.why_closed(request)
    if why is not None:
        raise Unauthenticated(
            "public_access_closed",
            f"Present a server key: public access is closed to this request, since {why}.",
        )
    request.require_same_origin()
    return msgspec.structs.replace(PUBLIC, address=request.client_address)


def session_cookies(request: Request) -> Sequence[str]:
    """Return the values of the session cookies of the request; on https there can be one only."""
    values = [request.cookie(name) for name in request.edge.session_cookies(request)]
    return [value for value in values if value is not None]


def shows_session(request: Request) -> bool:
    """Tell whether the request has a cookie that may show a session, any dialect's."""
    return bool(session_cookies(request) or _dialect_cookie(request))


def _dialect_cookie(request: Request) -> Sequence[str]:
    for name in DIALECT_COOKIES:
        value = request.cookie(name)
        if value is not None:
            return [value]
    return ()


def _session_of(caller: Caller) -> bytes | None:
    standing = getattr(caller, "standing", None)
    return None if standing is None else standing.session.id
