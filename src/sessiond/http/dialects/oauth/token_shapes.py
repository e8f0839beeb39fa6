"""What the token endpoint is asked with, and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

REFRESH_GRANT = "refresh_token"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS = (REFRESH_GRANT, EXCHANGE_GRANT)

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What tokens are asked for with. An empty parameter counts as none, an unknown one is ignored."""

    grant_type: Annotated[
        str, Meta(min_length=1, description=" or ".join(f"`{grant}`" for grant in GRANTS) + ".")
    ]
    refresh_token: str = ""
    client_id: Annotated[str, Meta(description="The project's id, where a client must send one.")] = ""
    scope: Annotated[str, Meta(description="None can be asked for: there are no scopes.")] = ""
    subject_token: Annotated[str, Meta(description="The access token to exchange.")] = ""
    subject_token_type: Annotated[str, Meta(description=f"`{ACCESS_TOKEN_TYPE}` or `{JWT_TYPE}`.")] = ""
    requested_token_type: Annotated[str, Meta(description="The same, or none.")] = ""
    audience: Annotated[str, Meta(description="The service that the new token is for.")] = ""
    resource: Annotated[str, Meta(description="Not taken: name an `audience`.")] = ""
    actor_token: Annotated[str, Meta(description="Not taken: the new token names no actor.")] = ""


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens (RFC 6749 section 5.1). A refresh token replaces the one that was sent; an exchange answers none.

    `refresh_after` is a member of ours beside them: in how many seconds to refresh, drawn at random for each answer.
    """

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str | None = None
    refresh_after: int | None = None
    issued_token_type: str | None = None
