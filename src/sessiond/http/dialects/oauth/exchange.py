"""Token exchange (RFC 8693): an application gets a token for another service, in the name of its own user."""

from __future__ import annotations

from sessiond.domain.callers import OperatorCaller, ServerCaller
from sessiond.domain.errors import InvalidRequest, Refusal, Unauthenticated
from sessiond.domain.sessions import INVALID
from sessiond.http.credentials import MISSING
from sessiond.http.dialects.oauth.errors import OAuthRefusal
from sessiond.http.dialects.oauth.token_shapes import ACCESS_TOKEN_TYPE, JWT_TYPE, TokenAnswer, TokenRequest
from sessiond.http.refusals import Fault, InvalidMembers
from sessiond.services.bundle import Services
from sessiond.services.exchanging import INVALID_AUDIENCE

_TYPES = (ACCESS_TOKEN_TYPE, JWT_TYPE)
_BY_AUDIENCE = OAuthRefusal("invalid_target", "Name the service by audience; resource is not taken.")
_NEEDED = ("subject_token", "subject_token_type", "audience")


def _not_exchanged(why: Refusal) -> OAuthRefusal:
    """Return the refusal of a token (RFC 8693 section 2.2.2)."""
    return OAuthRefusal("invalid_request", why.detail, code=why.code)


_INVALID_TARGET = OAuthRefusal("invalid_target", INVALID_AUDIENCE.detail, code=INVALID_AUDIENCE.code)
EXCHANGE_REFUSALS = (_BY_AUDIENCE, _INVALID_TARGET, _not_exchanged(INVALID))


class Exchange:
    """The exchange grant of the token endpoint."""

    def __init__(self, services: Services) -> None:
        self._exchanging = services.exchanging

    async def answer(self, asked: TokenRequest, client: ServerCaller | OperatorCaller | None) -> TokenAnswer:
        """Return a token for the audience, which is all that it is good for."""
        if client is None:
            raise MISSING
        _check(asked)
        try:
            exchanged = await self._exchanging.exchange(asked.subject_token, client.project, asked.audience)
        except Unauthenticated as refusal:
            refusal.forget_where()
            raise _not_exchanged(refusal) from None
        except InvalidRequest as refusal:
            refusal.forget_where()
            raise _INVALID_TARGET from None
        return TokenAnswer(
            access_token=exchanged.access_token,
            token_type="Bearer",
            expires_in=exchanged.expires_in,
            issued_token_type=asked.requested_token_type or ACCESS_TOKEN_TYPE,
        )


def _check(asked: TokenRequest) -> None:
    faults = [Fault(f"/{name}", "is required") for name in _NEEDED if not getattr(asked, name)]
    faults += [
        Fault(f"/{name}", "is not a type that is known here")
        for name in ("subject_token_type", "requested_token_type")
        if getattr(asked, name) not in {"", *_TYPES}
    ]
    if asked.actor_token:
        faults.append(Fault("/actor_token", "is not taken"))
    if asked.resource:
        raise _BY_AUDIENCE
    if faults:
        raise InvalidMembers(faults)
