"""The token texts of a native session: minted from its row, so that the same row gives the same refresh token."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.instants import Instant, later, second_of, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.refresh import refresh_after
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.services.ports import Entropy
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens


class Minted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An access token, its life in seconds, the refresh token that gets the next one, and when to use it.

    *refresh_after* is in seconds from now, and drawn anew at each minting.
    """

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_after: int

    def __repr__(self) -> str:
        return "Minted(…)"


def mint_native(
    tokens: Tokens,
    session: Session,
    policy: Policy,
    *,
    claims: Mapping[str, object],
    now: Instant,
    entropy: Entropy,
) -> Minted:
    """Return the tokens of the session's current generation; no access token outlives its session.

    *claims* are those that the project's template adds to a JWT.
    """
    if session.access_format is AccessFormat.JWT:
        expires_at = min(later(second_of(now), policy.jwt_lifetime), session.expires_at)
        access = tokens.jwt(
            Form.NATIVE_JWT,
            session,
            now=now,
            expires_at=expires_at,
            first={"client_id": session.project},
            more=claims,
        )
    else:
        expires_at = min(later(now, policy.access_token_lifetime), session.expires_at)
        access = tokens.opaque(TokenKind.ACCESS, session, expires_at=expires_at)
    expires_in = max(1, unix_seconds(expires_at - now))
    return Minted(
        access_token=access,
        expires_in=expires_in,
        refresh_token=tokens.opaque(TokenKind.REFRESH, session, expires_at=session.expires_at),
        refresh_after=refresh_after(expires_in, entropy.bytes(8)),
    )
