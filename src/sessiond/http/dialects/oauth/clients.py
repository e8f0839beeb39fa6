"""Client authentication: an application shows its server key, as Bearer or as the secret of HTTP Basic.

In Basic (RFC 6749 section 2.3.1, RFC 7617) the client is the project: its id, and a server key of it as the secret.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from urllib.parse import unquote_plus

from sessiond.domain.callers import Caller, OperatorCaller, ServerCaller
from sessiond.domain.sessions import INVALID
from sessiond.http.credentials import (
    BEARER_SERVER_KEY,
    Callers,
    Credentials,
    SecurityScheme,
)
from sessiond.http.head import MOST_HEADER_CHARS
from sessiond.http.request import Request

_BASIC = re.compile(r"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2}) *")

BASIC_CLIENT = SecurityScheme(
    "clientBasic",
    {"type": "http", "scheme": "basic", "description": "The project's id, and a server key of it."},
)


class Clients:
    """The credentials of the OAuth endpoints."""

    def __init__(self, callers: Callers, credentials: Credentials) -> None:
        self._callers = callers
        self._by_bearer = credentials.server_key
        shown = ((BEARER_SERVER_KEY,), (BASIC_CLIENT,))
        self.required = dataclasses.replace(
            self._by_bearer, name="client authentication", resolve=self._required, schemes=shown
        )
        self.optional = dataclasses.replace(
            self._by_bearer, name="optional client", resolve=self._optional, schemes=((), *shown)
        )

    async def _required(self, request: Request) -> Caller | None:
        if not is_basic(request):
            return await self._by_bearer.resolve(request)
        name, secret = _basic(request)
        caller = await self._callers.by_server_key(secret, project=name, address=request.client_address)
        if caller.project != name:
            raise INVALID
        return caller

    async def _optional(self, request: Request) -> Caller | None:
        """Return None for a client that shows nothing; what it shows must pass."""
        return None if request.header(b"authorization") is None else await self._required(request)


def is_basic(request: Request) -> bool:
    """Tell whether the client authenticates, or tries to, by HTTP Basic."""
    return (request.header(b"authorization") or "").partition(" ")[0].lower() == "basic"


def client_of(request: Request) -> ServerCaller | OperatorCaller | None:
    """Return the application that authenticated; None for a public client."""
    caller = request.caller
    return caller if isinstance(caller, ServerCaller | OperatorCaller) else None


def _basic(request: Request) -> tuple[str, str]:
    header = request.header(b"authorization") or ""
    match = _BASIC.fullmatch(header)
    if match is None or len(header) >= MOST_HEADER_CHARS:
        raise INVALID
    try:
        name, colon, secret = base64.b64decode(match[1], validate=True).decode("ascii").partition(":")
        if not colon:
            raise INVALID
        return unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, UnicodeDecodeError):
        raise INVALID from None
