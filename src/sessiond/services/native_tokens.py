"""The token texts of a native session: minted from its row, so that the same row gives the same refresh token."""

from __future__ import annotations

import msgspec

from sessiond.crypto.tokens import TokenKind
from sessiond.domain.instants import Instant, later, second_of, unix_seconds
from sessiond.domain.policies import Policy
from sessiond.domain.refresh import refresh_after
from sessiond.domain.sessions import AccessFormat, Session
from sessiond.services.claims import Claims
from sessiond.services.ports import Entropy
from sessiond.services.token_forms import Form
from sessiond.services.tokens import Tokens

_ACCESS, _REFRESH, _JWT = TokenKind.ACCESS, TokenKind.REFRESH, AccessFormat.JWT
"""By names of their own: before Python 3.12 a member that is looked for on its enum takes as long as a call."""


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


class NativeTokens:
    """Mints them; a JWT has the claims that the project's template adds."""

    def __init__(self, tokens: Tokens, claims: Claims, entropy: Entropy) -> None:
        self._tokens = tokens
        self._claims = claims
        self._entropy = entropy

    async def mint(self, session: Session, policy: Policy, *, now: Instant) -> Minted:
        """Return the tokens of the session's current generation; no access token outlives its session."""
        if session.access_format is _JWT:
            expires_at = min(later(second_of(now), policy.jwt_lifetime), session.expires_at)
            access = self._tokens.jwt(
                Form.NATIVE_JWT,
                session,
                now=now,
                expires_at=expires_at,
                first={"client_id": session.project},
                more=await self._claims.of(session),
            )
        else:
            expires_at = min(later(now, policy.access_token_lifetime), session.expires_at)
            access = self._tokens.opaque(_ACCESS, session, expires_at=expires_at)
        expires_in = max(1, unix_seconds(expires_at - now))
        return Minted(
            access_token=access,
            expires_in=expires_in,
            refresh_token=self._tokens.opaque(_REFRESH, session, expires_at=session.expires_at),
            refresh_after=refresh_after(expires_in, self._entropy.bytes(8)),
        )
